"""Addresses that run out: before a playback, in its middle, and for good."""

import asyncio
import os
import threading
import time
from datetime import timedelta

import pytest
from aiohttp import web
from django.db import connection
from django.utils import timezone

from strm import resolving, transfer
from strm.models import StrmUrlMapping
from tests.strm.conftest import Source, identity, stream
from tests.strm.host import File, Host
from tests.strm.player import Player

FILM = b"\0\0\0\x20ftypisom" + os.urandom(3_000_000)
OTHER = b"\0\0\0\x20ftypisom" + os.urandom(3_000_000)


class Expiring:
    """A host whose links carry a number, of which only the newest is good; `hand_out` makes the next link."""

    def __init__(
        self, host: Host, path: str = "/film.mp4", content: bytes = FILM, **options: object
    ) -> None:
        self.good = 0
        self.status = 403
        self.host, self.path = host, path
        host.file(path, content, refuses=self.refuse, **options)

    def refuse(self, request: web.Request) -> int:
        return 0 if request.query.get("n") == str(self.good) else self.status

    def hand_out(self):
        self.good += 1
        return [stream(self.host.at(f"{self.path}?n={self.good}"))]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.01)


def expire(expiring: Expiring) -> None:
    """What the host handed out is no longer good; nobody has been told."""
    expiring.good += 1


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 451, 500, 503])
def test_a_link_that_ran_out_is_replaced_without_the_player_noticing(
    player: Player, host: Host, source: Source, status: int
):
    expiring = Expiring(host)
    expiring.status = status
    source.titles["film"] = expiring.hand_out
    link = source.link("film")
    assert player.get(link, Range="bytes=0-9").status == 206
    assert len(source.looked) == 1
    expire(expiring)
    reply = player.get(link, Range="bytes=10-19")
    assert (reply.status, reply.body) == (206, FILM[10:20])
    assert len(source.looked) == 2
    assert StrmUrlMapping.objects.get().version == 2


def test_a_host_that_cannot_be_reached_gets_a_new_address(
    player: Player, host: Host, source: Source
):
    dead = stream("http://127.0.0.1:9/film.mp4")
    offers = iter([[dead], [stream(host.file("/film.mp4", FILM))]])
    source.titles["film"] = lambda: next(offers)
    with_dead_port = host.place, "127.0.0.1:9"
    from django.conf import settings

    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = list(with_dead_port)
    assert player.get(source.link("film")).body == FILM


def test_one_refresh_and_then_the_next_host(player: Player, host: Host, source: Source):
    broken = stream(host.body("/broken.mp4", b"", status=410), "VOE")
    good = stream(host.file("/film.mp4", FILM), "Filemoon")
    link = source.offer("film", broken, good)
    assert player.get(link).body == FILM
    assert len(host.paths("/broken.mp4")) == 2  # once, and once more with a new address
    row = StrmUrlMapping.objects.get()
    assert row.provider_used == "Filemoon"
    assert list(row.gone) == ["voe"]
    player.get(link)
    assert len(host.paths("/broken.mp4")) == 2


def test_when_no_host_is_left_the_player_hears_what_the_last_one_said(
    player: Player, host: Host, source: Source
):
    one = stream(host.body("/1", b"", status=404), "VOE")
    two = stream(host.body("/2", b"", status=410), "Filemoon")
    link = source.offer("film", one, two)
    assert player.get(link).status == 410
    looked = len(source.looked)
    assert player.get(link, Range="bytes=0-").status in (404, 410)
    assert len(source.looked) == looked  # a failure of a moment ago is believed


def test_a_page_instead_of_a_video_is_as_good_as_gone(player: Player, host: Host, source: Source):
    page = stream(host.body("/page.mp4", b"<html>Not found</html>", "video/mp4"), "VOE")
    link = source.offer("film", page, stream(host.file("/film.mp4", FILM), "Filemoon"))
    assert player.get(link).body == FILM


def test_a_break_in_the_middle_goes_on_at_the_same_byte(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film.mp4", FILM, breaks=[1_000_000, 2_000_000])))
    reply = player.get(link)
    assert reply.finished
    assert reply.body == FILM
    starts = [one.headers.get("range", "") for one in host.asked]
    assert len(starts) == 3
    assert all(start.endswith(f"-{len(FILM) - 1}") for start in starts[1:])


def test_a_break_in_a_range_goes_on_within_it(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film.mp4", FILM, breaks=[1_500_000])))
    reply = player.get(link, Range="bytes=1000000-1999999")
    assert reply.finished
    assert reply.body == FILM[1_000_000:2_000_000]


def test_a_link_that_ends_in_the_middle_is_replaced_there(
    player: Player, host: Host, source: Source
):
    expiring = Expiring(host, breaks=[1_200_000])
    served = expiring.refuse

    def refuse(request: web.Request) -> int:
        status = served(request)
        if request.query.get("n") == "1":
            expire(expiring)  # good for one request only
        return status

    host.routes["/film.mp4"].refuses = refuse
    source.titles["film"] = expiring.hand_out
    reply = player.get(source.link("film"))
    assert reply.finished
    assert reply.body == FILM
    assert len(source.looked) == 2


@pytest.mark.parametrize("same", [True, False])
def test_a_host_that_goes_away_in_the_middle_gives_way_to_the_next_at_the_same_byte(
    player: Player, host: Host, source: Source, same: bool
):
    requests = [0]

    def refuse(request: web.Request) -> int:
        requests[0] += 1
        return 0 if requests[0] == 1 else 410

    first = stream(host.file("/one.mp4", FILM, breaks=[1_300_000], refuses=refuse), "VOE")
    second = stream(host.file("/two.mp4", FILM if same else OTHER), "Filemoon")
    reply = player.get(source.offer("film", first, second))
    if same:
        assert reply.finished
        assert reply.body == FILM
        start = int(host.last("/two.mp4").headers["range"].partition("=")[2].partition("-")[0])
        assert 1_200_000 < start <= 1_300_000
    else:
        assert len(reply.body) < len(FILM)
    assert FILM.startswith(reply.body)


@pytest.mark.parametrize(
    "instead",
    [
        File(FILM + b"longer"),
        File(OTHER),
        File(FILM, ranges=False),
    ],
)
def test_what_is_not_the_same_file_is_never_put_together(
    player: Player, host: Host, source: Source, instead: File
):
    host.file("/film.mp4", FILM, breaks=[1_000_000])
    first = host.routes["/film.mp4"]

    async def swap(request: web.Request) -> web.StreamResponse:
        host.routes["/film.mp4"] = instead
        return await first(request)

    host.routes["/film.mp4"] = swap
    reply = player.get(source.offer("film", stream(host.at("/film.mp4"))))
    assert reply.status == 200
    assert len(reply.body) < len(FILM)
    assert FILM.startswith(reply.body)


def test_a_host_that_always_breaks_off_is_given_up(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film.mp4", FILM, breaks=[100_000] * 50)))
    host.routes["/film.mp4"].breaks = [1_000_000] + [1_000_100] * 50
    reply = player.get(link)
    assert len(reply.body) < len(FILM)
    assert len(host.asked) <= 1 + transfer.BREAKS + 1


async def until_looked(source: Source) -> None:
    """Until somebody is looking for a stream."""
    while not source.looked:
        await asyncio.sleep(0.01)


def test_many_at_once_look_once(player: Player, host: Host, source: Source):
    gate = threading.Event()
    found = [stream(host.file("/film.mp4", FILM))]

    def slowly():
        gate.wait(30)
        return found

    source.titles["film"] = slowly
    flights = player.engine.flights

    async def all_at_once():
        tasks = [asyncio.ensure_future(flights.resolve(identity("film"))) for _ in range(20)]
        await asyncio.wait_for(until_looked(source), 30)
        gate.set()
        return await asyncio.gather(*tasks)

    results = player.run(all_at_once())
    assert {one.version for one in results} == {1}
    assert source.looked == ["film"]


def test_looking_is_called_off_when_nobody_waits_any_more(player: Player, source: Source):
    from anibridge.lib import http

    stopped = threading.Event()

    def forever():
        try:
            http.pause(60)
        finally:
            stopped.set()
        return []

    source.titles["film"] = forever
    flights = player.engine.flights

    async def impatient():
        task = asyncio.ensure_future(flights.resolve(identity("film")))
        await asyncio.wait_for(until_looked(source), 30)
        task.cancel()
        await asyncio.wait({task})

    player.run(impatient())
    assert stopped.wait(30)
    row = StrmUrlMapping.objects.get()
    deadline = time.monotonic() + 30
    while row.lease_until is not None and time.monotonic() < deadline:
        time.sleep(0.05)
        row.refresh_from_db()
    assert (row.lease_until, row.failure) == (None, "")


def test_a_process_waits_for_the_one_that_is_looking(
    player: Player, host: Host, source: Source, monkeypatch: pytest.MonkeyPatch
):
    # Another process holds the lease, and finds something.
    found = stream(host.file("/film.mp4", FILM))
    source.titles["film"] = [found]
    resolving.resolve(identity("film"))
    row = StrmUrlMapping.objects.get()
    StrmUrlMapping.objects.update(
        lease_owner="another",
        lease_until=timezone.now() + timedelta(seconds=60),
        expires_at=timezone.now(),
    )

    waits = threading.Event()
    pause = resolving.http.pause

    def waiting(seconds: float) -> None:
        waits.set()
        pause(seconds)

    monkeypatch.setattr(resolving.http, "pause", waiting)

    def finish() -> None:
        assert waits.wait(30)
        StrmUrlMapping.objects.update(
            lease_owner="",
            lease_until=None,
            version=7,
            expires_at=timezone.now() + timedelta(hours=1),
        )
        connection.close()

    writer = threading.Thread(target=finish)
    writer.start()
    try:
        resolved = resolving.resolve(identity("film"))
    finally:
        writer.join()
    assert resolved.version == 7
    assert source.looked == ["film"]
    assert resolved.url == row.resolved_url


def test_a_lease_of_a_dead_process_runs_out(player: Player, host: Host, source: Source):
    source.offer("film", stream(host.file("/film.mp4", FILM)))
    resolving.resolve(identity("film"))
    StrmUrlMapping.objects.update(
        lease_owner="dead",
        lease_until=timezone.now() - timedelta(seconds=1),
        expires_at=timezone.now(),
    )
    assert resolving.resolve(identity("film")).version == 2


def test_all_who_saw_a_version_fail_share_one_new_look(player: Player, host: Host, source: Source):
    source.offer("film", stream(host.file("/film.mp4", FILM)))
    first = resolving.resolve(identity("film"))
    second = resolving.resolve(identity("film"), newer_than=first.version)
    third = resolving.resolve(identity("film"), newer_than=first.version)
    assert (first.version, second.version, third.version) == (1, 2, 2)
    assert len(source.looked) == 2


def test_headers_are_not_written_in_clear(player: Player, host: Host, source: Source):
    source.offer("film", stream(host.at("/film.mp4"), Cookie="session=very-secret"))
    assert resolving.resolve(identity("film")).headers == {"Cookie": "session=very-secret"}
    row = StrmUrlMapping.objects.get()
    assert "very-secret" not in row.headers
    assert resolving.known(identity("film")).headers == {"Cookie": "session=very-secret"}


def test_headers_of_a_lost_key_are_looked_for_anew(
    player: Player, host: Host, source: Source, settings
):
    source.offer("film", stream(host.at("/film.mp4"), Cookie="a=b"))
    resolving.resolve(identity("film"))
    settings.SECRET_KEY = "another"
    assert resolving.known(identity("film")) is None
    assert resolving.resolve(identity("film")).version == 2


def test_the_next_episode_is_looked_for_ahead_when_the_owner_wants_it(
    player: Player, host: Host, source: Source, settings, monkeypatch
):
    from catalogue.releases import Identity
    from strm import links, sources

    seen = []

    def find(one: Identity, provider: str, gone):
        seen.append(one.episode)
        return stream(host.file("/film.mp4", FILM))

    monkeypatch.setitem(sources.SOURCES, "series", find)
    episode = Identity("series", "show", 1, 4, "German Dub")
    link = links.stream_url(episode, base_url=Player.base)
    player.get(link, Range="bytes=0-1")
    assert seen == [4]
    settings.STRM_PREFETCH_NEXT = True
    for _ in range(3):
        player.get(link, Range="bytes=0-1")
    deadline = time.monotonic() + 30
    while len(seen) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert seen == [4, 5]
