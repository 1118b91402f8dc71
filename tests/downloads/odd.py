"""A server on loopback that answers as a qBittorrent 4.5 does, or oddly, as a test wants it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.downloads.loopback import Quiet, served

SOUND = {
    "/api/v2/auth/login": (200, b"Ok."),
    "/api/v2/app/version": (200, b"v4.5.2"),
    "/api/v2/app/webapiVersion": (200, b"2.8.19"),
    "/api/v2/torrents/info": (200, b"[]"),
    "/api/v2/torrents/add": (200, b"Ok."),
}


@dataclass
class Odd:
    """Answers by path; what is not there is a 404."""

    url: str = ""
    pages: dict[str, tuple[int, bytes]] = field(default_factory=lambda: dict(SOUND))
    asked: list[str] = field(default_factory=list)


@contextmanager
def odd_qbittorrent() -> Iterator[Odd]:
    """A running one."""
    it = Odd()

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            it.asked.append(path)
            status, body = it.pages.get(path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status in (301, 302):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

    with served(Handler) as it.url:
        yield it
