"""A local service that speaks SkyHook's API, with the shows that a test gives it."""

import json
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.cache import cache


@dataclass
class SkyHook:
    """Knows `shows` by TVDB id; a search term finds those whose title or one of whose `terms` it is."""

    shows: dict[int, dict[str, Any]] = field(default_factory=dict)
    terms: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    status: int = 200

    def add(
        self,
        tvdb_id: int,
        title: str,
        *episodes: tuple[int, int, int | None, str],
        year: int = 2022,
        to_come: Collection[tuple[int, int]] = (),
        **ids: Any,
    ) -> None:
        """A show; episodes are (season, episode, absolute or None, title). Those `to_come` air in the far future."""
        self.shows[tvdb_id] = {
            "tvdbId": tvdb_id,
            "title": title,
            "firstAired": f"{year}-04-01",
            "episodes": [
                {
                    "seasonNumber": s,
                    "episodeNumber": e,
                    "absoluteEpisodeNumber": a,
                    "title": name,
                    "airDateUtc": f"{9000 if (s, e) in to_come else year}-04-01T12:00:00Z",
                }
                for s, e, a, name in episodes
            ],
            **ids,
        }

    def answer(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        if parts.path.startswith("/v1/tvdb/shows/en/"):
            show = self.shows.get(int(parts.path.rpartition("/")[2]))
            return (200, show) if show else (404, {"message": "not found"})
        term = parse_qs(parts.query)["term"][0].casefold()
        found = self.terms.get(term, [])
        found += [
            n
            for n, show in self.shows.items()
            if show["title"].casefold() == term and n not in found
        ]
        found += [n for n, show in self.shows.items() if f"imdb:{show.get('imdbId')}" == term]
        found += [n for n, show in self.shows.items() if f"tmdb:{show.get('tmdbId')}" == term]
        return 200, [{**self.shows[number], "episodes": []} for number in found]


@contextmanager
def running(settings: Any) -> Iterator[SkyHook]:
    """The service, and the settings that lead to it; nothing that it said before is remembered."""
    service = SkyHook()
    service.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append(self.path)
            service.held.wait(10)
            status, body = service.answer(self.path)
            data = json.dumps(body).encode()
            self.send_response(service.status if service.status != 200 else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings.SKYHOOK_BASE_URL = f"http://127.0.0.1:{server.server_port}"
    cache.clear()
    yield service
    service.held.set()
    server.shutdown()
    server.server_close()
    thread.join()
    cache.clear()
