"""A downloader on loopback that speaks the batch protocol, well or badly, as a test wants it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from downloads import registry
from downloads.detection import DownloadType
from downloads.models import Downloader
from tests.downloads.loopback import Quiet, served


@dataclass
class Double:
    """What it has, what it was asked, and how it misbehaves.

    `have` is hash → status row. `reply` may take the place of the answer to a batch: items → (HTTP status, body).
    """

    url: str = ""
    have: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    reply: Callable[[list[dict[str, str]]], tuple[int, object]] | None = None
    status_reply: tuple[int, object] | None = None
    command_reply: int = 200
    limit_reply: int = 200
    """Another one for a service that is older than limits."""
    key: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def batches(self) -> list[list[str]]:
        """The links of every batch that arrived."""
        return [
            [item["url"] for item in body["items"]]
            for method, path, body in self.asked
            if (method, path) == ("POST", "/downloads")
        ]

    def taken(self) -> list[str]:
        return [url for batch in self.batches() for url in batch]

    def commands(self) -> list[str]:
        """Everything but handing over and asking."""
        return [
            f"{method} {path}"
            for method, path, _ in self.asked
            if method != "GET" and (method, path) != ("POST", "/downloads")
        ]

    def hash_of(self, url: str) -> str:
        for part in url.replace("?", "&").split("&"):
            if part.startswith("xt=urn:btih:"):
                return part.removeprefix("xt=urn:btih:").lower()
        return f"{abs(hash(url)):040x}"[:40]

    def post(self, items: list[dict[str, str]]) -> tuple[int, object]:
        if self.reply is not None:
            status, body = self.reply(items)
            return status, body
        results = []
        for item in items:
            one = self.hash_of(item["url"])
            self.have.setdefault(one, {"status": "downloading", "progress": 0.0, "size": 1000})
            results.append({"url": item["url"], "hash": one, "status": "accepted", "reason": None})
        return 200, {"results": results}

    def statuses(self, hashes: list[str]) -> tuple[int, object]:
        if self.status_reply is not None:
            return self.status_reply
        rows = [{"hash": one, **self.have[one]} for one in hashes if one in self.have]
        return 200, {"statuses": rows}


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            with double.lock:
                double.asked.append((self.command, parts.path, body))
            if double.key and self.headers.get("X-Api-Key") != double.key:
                self._send(401, {"error": "no"})
                return
            with double.lock:
                status, said = self._result(parts.path, parse_qs(parts.query), body)
            self._send(status, said)

        def _result(self, path: str, query: dict, body: Any) -> tuple[int, object]:
            if path == "/health":
                return 200, {"status": "ok"}
            if path == "/downloads" and self.command == "POST":
                return double.post(body["items"])
            if path == "/downloads":
                return double.statuses(query["hashes"][0].split(","))
            if double.command_reply != 200:
                return double.command_reply, {}
            if path == "/downloads/cancel":
                known = [double.have.pop(one, None) for one in body["hashes"]]
                words = ["not_found" if one is None else "cancelled" for one in known]
                rows = zip(body["hashes"], words, strict=True)
                return 200, {"results": [{"hash": h, "status": w} for h, w in rows]}
            one = path.split("/")[2]
            if one not in double.have:
                return 404, {}
            if path.endswith("/limit"):
                if double.limit_reply == 200:
                    double.have[one]["rate_limit"] = body["rate_limit"]
                return double.limit_reply, {}
            if self.command == "DELETE":
                del double.have[one]
            else:
                paused = path.endswith("/pause")
                double.have[one]["status"] = "paused" if paused else "downloading"
            return 200, {}

        def _send(self, status: int, said: object) -> None:
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

    return Handler


@contextmanager
def double() -> Iterator[Double]:
    """A running one."""
    it = Double()
    with served(_handler(it)) as it.url:
        yield it


def announce(
    it: Double | str,
    name: str,
    *types: DownloadType,
    priority: int = 50,
    api_key: str | None = None,
) -> Downloader:
    """Register one as it would do itself; magnets and torrents where no type is named."""
    said = registry.Registration(
        name=name,
        base_url=it if isinstance(it, str) else it.url,
        types=types or (DownloadType.MAGNET, DownloadType.TORRENT),
        priority=priority,
        api_key=api_key,
    )
    return registry.register(said)[0]
