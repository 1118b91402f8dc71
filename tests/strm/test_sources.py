"""From a signed link to the video: the demo catalogue, its broken hosts, and yt-dlp, for real."""

import threading

import pytest
from django.db import connection

from anibridge.demo.videos import VideoLibrary
from catalogue.errors import NoStream, UnknownSite
from catalogue.models import Site
from catalogue.releases import Identity
from strm import links, resolving, sources
from strm.models import StreamKind, StrmUrlMapping
from tests.strm.conftest import Source, identity, stream
from tests.strm.player import Player

pytestmark = pytest.mark.django_db(transaction=True)
EPISODE = Identity("demo", "sintel", 1, 1, "German Dub")


def link(one: Identity, **options: str) -> str:
    return links.stream_url(one, base_url=Player.base, **options)


def test_an_episode_is_played_from_the_first_host_that_has_it(
    player: Player, demo_site: Site, library: VideoLibrary
):
    # The first host of this episode is a 404 (anibridge/demo/titles.py).
    reply = player.get(link(EPISODE))
    assert reply.status == 200
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.body in {path.read_bytes() for path in library.folder.glob("*.mp4")}
    row = StrmUrlMapping.objects.get()
    assert (row.kind, row.version, row.site, row.episode) == ("file", 1, "demo", 1)
    assert row.provider_used not in ("", "VOE")


def test_an_episode_in_segments_is_played_by_its_master_playlist(player: Player, demo_site: Site):
    one = Identity("demo", "die-baeckerei-am-ende-der-strasse", 1, 2, "German Dub")
    top = player.get(link(one))
    assert top.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert "#EXT-X-STREAM-INF" in top.text
    variant = player.follow(top.uris[0], link(one))
    first = player.follow(variant.uris[0], "http://anibridge.test/strm/proxy/x")
    assert first.headers["content-type"] == "video/mp2t"
    assert first.body[0:1] == b"G"


def test_the_host_that_is_wished_for_comes_first(demo_site: Site):
    assert resolving.resolve(EPISODE).provider == "Filemoon"
    assert resolving.resolve(EPISODE, provider="streamtape").provider == "Streamtape"
    assert resolving.resolve(EPISODE, provider="VOE").provider == "Filemoon"  # it is gone there
    assert StrmUrlMapping.objects.count() == 3


@pytest.mark.parametrize(
    "one",
    [
        Identity("demo", "no-such-title", 1, 1, "German Dub"),
        Identity("demo", "sintel", 1, 99, "German Dub"),
        Identity("demo", "sintel", 1, 1, "English Sub"),
        Identity("nowhere", "sintel", 1, 1, "German Dub"),
        Identity("demo", "..", 1, 1, "German Dub"),
    ],
)
def test_what_is_not_there_is_a_404_with_a_reason(player: Player, demo_site: Site, one: Identity):
    reply = player.get(link(one))
    assert reply.status == 404
    assert len(reply.text) > 10


def test_a_site_that_is_switched_off_is_not_asked(player: Player, demo_site: Site):
    Site.objects.update(enabled=False)
    assert player.get(link(EPISODE)).status == 404
    with pytest.raises(UnknownSite):
        sources.find(EPISODE, "", ())


def test_a_whole_season_cannot_be_played(demo_site: Site):
    with pytest.raises(NoStream):
        sources.find(Identity("demo", "sintel", 1, None, "German Dub"), "", ())


def test_threads_and_processes_that_ask_at_once_look_once(transactional_db, source: Source):
    started, gate = threading.Barrier(6), threading.Event()
    results, source.titles["film"] = (
        [],
        lambda: gate.wait(30) and [stream("http://h.example/f.mp4")],
    )

    def ask() -> None:
        try:
            started.wait(30)
            results.append(resolving.resolve(identity("film")).version)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    while not source.looked:
        gate.wait(0.02)
    gate.set()
    for thread in threads:
        thread.join(60)
    assert results == [1] * 6
    assert source.looked == ["film"]


def test_what_a_link_says_about_its_end_is_believed(transactional_db, source: Source, settings):
    from datetime import timedelta

    from django.utils import timezone

    soon = int((timezone.now() + timedelta(minutes=9)).timestamp())
    source.offer("film", stream(f"http://h.example/f.mp4?expires={soon}", kind=StreamKind.FILE))
    assert int(resolving.resolve(identity("film")).expires_at.timestamp()) == soon
    source.offer("other", stream("http://h.example/f.mp4"))
    settings.STRM_URL_TTL_MINUTES = 30
    left = resolving.resolve(identity("other")).expires_at - timezone.now()
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
