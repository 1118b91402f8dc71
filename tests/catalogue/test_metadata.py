"""The metadata client against a local server that speaks SkyHook's API."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache

from catalogue import metadata
from catalogue.errors import MetadataUnavailable

SINTEL = {
    "tvdbId": 4711,
    "title": "Sintel",
    "firstAired": "2010-09-27",
    "imdbId": "tt1727587",
    "tmdbId": 45745,
    "overview": "x" * 1000,
    "episodes": [
        {
            "seasonNumber": 1,
            "episodeNumber": 1,
            "absoluteEpisodeNumber": 1,
            "title": "Sintel",
            "airDate": "2010-09-27",
            "airDateUtc": "2010-09-27T18:15:00Z",
        },
        {"seasonNumber": 0, "episodeNumber": 1, "title": "Making of", "airDate": "2010-10-01"},
        {"seasonNumber": "x", "episodeNumber": None},
        "nonsense",
    ],
}


class Service:
    """Answers by path or term; `asked` lists every request that arrived."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.raw: bytes | None = None

    def answer(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        if parts.path == "/v1/tvdb/shows/en/4711":
            return 200, SINTEL
        if parts.path == "/v1/tvdb/search/en/":
            term = parse_qs(parts.query)["term"][0]
            known = ("sintel", "imdb:tt1727587", "tmdb:45745")
            return 200, [{**SINTEL, "episodes": []}] if term.lower() in known else []
        return 404, {"message": "not found"}


@pytest.fixture
def service(settings) -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append(self.path)
            status, body = service.answer(self.path)
            data = service.raw if service.raw is not None else json.dumps(body).encode()
            self.send_response(service.status if service.status != 200 else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings.SKYHOOK_BASE_URL = f"http://127.0.0.1:{server.server_port}/"
    cache.clear()
    yield service
    server.shutdown()
    server.server_close()
    thread.join()
    cache.clear()


def test_a_show_has_its_ids_and_numbers(service: Service):
    show = metadata.show(4711)
    assert (show.title, show.year, show.imdb_id, show.tmdb_id) == (
        "Sintel",
        2010,
        "tt1727587",
        45745,
    )
    assert [(e.season, e.episode, e.absolute) for e in show.episodes] == [(1, 1, 1), (0, 1, None)]


def test_an_episode_has_the_moment_at_which_it_aired(service: Service):
    first, making_of = metadata.show(4711).episodes
    assert first.aired_at == datetime(2010, 9, 27, 18, 15, tzinfo=UTC)
    assert making_of.aired_at == datetime(2010, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "soon", "2010-13-40", 5, "9999999999-01-01"])
def test_a_date_that_is_none_is_not_known(service: Service, date: object):
    episode = {"seasonNumber": 1, "episodeNumber": 1, "airDateUtc": date}
    service.raw = json.dumps({**SINTEL, "episodes": [episode]}).encode()
    (one,) = metadata.show(4711).episodes
    assert one.aired_at is None


def test_the_same_question_is_asked_once(service: Service):
    for _ in range(3):
        metadata.show(4711)
        metadata.find("Sintel")
        assert metadata.show(9999) is None
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    "ids",
    [
        {"tvdb_id": 4711},
        {"imdb_id": "tt1727587"},
        {"imdb_id": "1727587"},
        {"tmdb_id": 45745},
        {"tvdb_id": 1, "imdb_id": "tt0000001", "tmdb_id": 45745},
    ],
)
def test_any_id_is_enough(service: Service, ids: dict[str, Any]):
    assert metadata.resolve(**ids).tvdb_id == 4711


@pytest.mark.parametrize("ids", [{}, {"tvdb_id": 1}, {"imdb_id": "nm123"}, {"tmdb_id": 5}])
def test_ids_that_mean_nothing_resolve_to_nothing(service: Service, ids: dict[str, Any]):
    assert metadata.resolve(**ids) is None


def test_a_service_that_fails_is_left_alone_for_a_while(service: Service):
    service.status = 503
    for _ in range(3):
        with pytest.raises(MetadataUnavailable):
            metadata.show(4711)
    assert len(service.asked) == 1


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[", b"\xff\xfe"])
def test_an_answer_that_is_no_json_is_no_answer(service: Service, raw: bytes):
    service.raw = raw
    with pytest.raises(MetadataUnavailable, match="JSON"):
        metadata.show(4711)


@pytest.mark.parametrize(
    "raw", [b"null", b"5", b'{"tvdbId": "x"}', b'{"tvdbId": 4711, "title": ""}']
)
def test_an_answer_that_lacks_what_makes_a_show_is_none(service: Service, raw: bytes):
    service.raw = raw
    assert metadata.show(4711) is None


def test_a_service_that_is_not_there_is_unavailable(settings):
    cache.clear()
    settings.SKYHOOK_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(MetadataUnavailable, match="did not answer"):
        metadata.find("anything")
    cache.clear()
