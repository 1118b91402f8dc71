"""Pushed links that become .strm files: from the request of a fetcher to a player at the other end."""

import logging
from pathlib import Path
from time import time
from typing import Any

import pytest
from aiohttp import web
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from anibridge.demo.videos import VideoLibrary
from catalogue.errors import NoStream
from catalogue.releases import Identity, Release
from downloads import runner, services, transitions
from downloads.links import processing
from downloads.models import Feed, Job, JobStatus, Link
from downloads.orders import as_strm, order_for
from strm import nowplaying, pushed, resolving
from strm.models import LinkAddress, StreamKind, StrmUrlMapping
from tests.qbshim.conftest import Caller
from tests.strm.host import Host, gzipped
from tests.strm.player import Player

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "http://anibridge.test"
SECRET = "s3cr3t-of-somebody"
KEYED = f"passkey={SECRET}"


@pytest.fixture(autouse=True)
def house(settings: Any, tmp_path: Path) -> None:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    settings.STRM_PUBLIC_BASE_URL = BASE
    settings.STRM_PROXY_MODE = "direct"  # what it is where nobody has set anything


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=django_settings.API_KEY)
    return client


@pytest.fixture
def film(library: VideoLibrary) -> bytes:
    return next(iter(sorted(library.folder.glob("*.mp4")))).read_bytes()


def serve_folder(host: Host, folder: Path, at: str, kind: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            host.file(f"{at}/{path.relative_to(folder)}", path.read_bytes(), kind)


@pytest.fixture
def hls(host: Host, library: VideoLibrary) -> str:
    """The address of a master playlist, in a folder that a query with a key goes with."""
    top = next(iter(sorted(library.folder.rglob("master.m3u8"))))
    serve_folder(host, top.parent, f"/{top.parent.name}", "text/plain")
    return host.at(f"/{top.parent.name}/master.m3u8?{KEYED}")


def push(api: APIClient, url: str, title: str = "Show.S01E01.mkv", **more: Any) -> dict[str, Any]:
    answer = api.post(
        "/api/v1/fetcher-results",
        {"source": "fetcher", "items": [{"title": title, "url": url, "mode": "strm", **more}]},
        format="json",
    )
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()["results"][0]
    return told


def run(job: Job) -> Job:
    token = transitions.claim(job.pk, "worker@test")
    assert token is not None
    runner.execute(job.pk, token)
    return Job.objects.get(pk=job.pk)


def delivered(api: APIClient, url: str, title: str = "Show.S01E01.mkv") -> Job:
    assert push(api, url, title)["status"] == "created"
    processing.run()
    return run(Job.objects.get())


def line(job: Job) -> str:
    assert (job.status, job.error_message) == (JobStatus.COMPLETED, "")
    return Path(job.result_path).read_text().removesuffix("\n")


def test_a_pushed_link_becomes_a_file_that_plays(
    player: Player, host: Host, api: APIClient, film: bytes, settings: Any
):
    url = host.file("/get/film.mp4", film) + f"?{KEYED}"
    done = delivered(api, url)
    assert done.result_path == str(settings.DOWNLOAD_DIR / "Show.S01E01.strm")
    link = line(done)
    assert link.startswith(f"{BASE}/strm/stream?e=0&lang=&s=0&site=link&slug={done.slug}&sig=")
    looked = len(host.asked)
    reply = player.get(link)
    assert (reply.status, reply.body) == (200, film)
    assert len(host.asked) == looked + 1  # what the job has found is known
    assert host.asked[-1].query == KEYED
    assert Link.objects.get().state == "dispatched"


def test_its_key_is_in_no_file_no_log_and_no_answer(
    player: Player, host: Host, api: APIClient, film: bytes, caplog: Any, settings: Any
):
    caplog.set_level(logging.DEBUG)
    host.file("/film.mp4", film)
    done = delivered(api, host.at(f"/film.mp4?{KEYED}"))
    reply = player.get(line(done))
    host.routes.clear()
    player.get(line(done), User_Agent="another")
    StrmUrlMapping.objects.all().delete()
    player.get(line(done), User_Agent="a third")
    assert reply.status == 200
    assert SECRET not in caplog.text
    for path in settings.DOWNLOAD_DIR.rglob("*"):
        assert SECRET not in (path.read_text() if path.is_file() else str(path))
    shown = api.get(f"/api/v1/downloads/{done.pk}").content + api.get("/api/v1/links").content
    shown += api.get("/api/v1/strm/playbacks").content
    assert SECRET.encode() not in shown
    assert SECRET not in LinkAddress.objects.get().address
    assert all(SECRET not in event.reason for event in done.events.all())


@pytest.mark.parametrize("compressed", [False, True])
def test_a_playlist_is_played_as_one(
    player: Player, host: Host, api: APIClient, hls: str, compressed: bool
):
    if compressed:
        path = hls.removeprefix(host.url).partition("?")[0]
        text = host.routes[path].content.decode()
        host.body(path, gzipped(text), "application/octet-stream")
    link = line(delivered(api, hls))
    top = player.get(link)
    assert top.headers["content-type"] == "application/vnd.apple.mpegurl"
    variant = player.follow(top.uris[0], link)
    assert player.follow(variant.uris[0], f"{BASE}/strm/proxy/x").status == 200
    assert StrmUrlMapping.objects.get().kind == "hls"


def test_a_manifest_is_played_as_one(
    player: Player, host: Host, api: APIClient, library: VideoLibrary
):
    top = next(iter(sorted(library.folder.rglob("*.mpd"))))
    serve_folder(host, top.parent, "/dash", "text/plain")
    reply = player.get(line(delivered(api, host.at(f"/dash/{top.name}"))))
    assert reply.headers["content-type"] == "application/dash+xml"


def test_a_live_stream_is_played_too(player: Player, host: Host, api: APIClient, hls: str):
    for path, route in host.routes.items():
        if path.endswith(".m3u8"):
            text = route.content.decode().replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "")
            host.body(path, text.replace("#EXT-X-ENDLIST\n", "").encode())
    top = player.get(link := line(delivered(api, hls)))
    assert "#EXT-X-ENDLIST" not in player.follow(top.uris[0], link).text


def test_the_video_in_a_page_is_found_and_found_again_when_its_address_ends(
    player: Player, host: Host, api: APIClient, film: bytes
):
    good = [0]

    async def page(request: web.Request) -> web.Response:
        good[0] += 1
        text = f'<html><title>T</title><video><source src="/f.mp4?n={good[0]}" type="video/mp4"></video></html>'
        return web.Response(text=text, content_type="text/html")

    host.routes["/watch/1"] = page
    host.file("/f.mp4", film, refuses=lambda request: 0 if request.query.get("n") == str(good[0]) else 403)  # fmt: skip
    link = line(delivered(api, host.at("/watch/1")))
    assert player.get(link).body == film
    good[0] += 1
    assert player.get(link, Range="bytes=5-9").body == film[5:10]
    assert StrmUrlMapping.objects.get().version == 2


def test_a_link_that_was_away_for_a_while_plays_again(
    player: Player, host: Host, api: APIClient, film: bytes
):
    link = line(delivered(api, host.file("/film.mp4", film)))
    route = host.routes.pop("/film.mp4")
    reply = player.get(link)
    assert reply.status == 404
    assert "HTTP status 404" in reply.text
    host.routes["/film.mp4"] = route
    StrmUrlMapping.objects.update(failed_at=None)
    assert player.get(link).body == film


def test_the_file_plays_when_link_and_job_are_long_forgotten(
    player: Player, host: Host, api: APIClient, film: bytes
):
    done = delivered(api, host.file("/film.mp4", film))
    link = line(done)
    services.remove(done.pk, delete_files=False)
    Link.objects.all().delete()
    Job.objects.all().delete()
    StrmUrlMapping.objects.all().delete()
    player.call(player.engine.flights._memory.clear)
    assert player.get(link).body == film
    LinkAddress.objects.all().delete()
    StrmUrlMapping.objects.all().delete()
    player.call(player.engine.flights._memory.clear)
    reply = player.get(link)
    assert (reply.status, "push it again" in reply.text) == (404, True)


def test_a_lost_key_only_needs_the_link_again(host: Host, api: APIClient, film: bytes, settings):
    done = delivered(api, host.file("/film.mp4", film))
    identity = Identity("link", done.slug, 0, 0, "")
    settings.SECRET_KEY = "another"
    assert pushed.find(identity, "", ()).url == host.at("/film.mp4")
    Link.objects.all().delete()
    Job.objects.all().delete()
    with pytest.raises(NoStream, match="push it again"):
        pushed.find(identity, "", ())


def test_who_plays_it_is_shown_with_its_title(
    player: Player, host: Host, api: APIClient, film: bytes
):
    player.get(line(delivered(api, host.file("/film.mp4", film), title="A film of mine")))
    player.run(player.engine.playbacks.write())
    assert [one.title for one in nowplaying.playing()] == ["A film of mine"]


PROTECTED = (
    b'#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1"\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n'
)


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"<html><p>nothing</p></html>", "text/html", ""),
        (b"d8:announce3:urle", "application/x-bittorrent", ""),
        (b"PK\x03\x04" + bytes(900), "application/zip", ""),
        (b"", "video/mp4", "video"),
        (PROTECTED, "application/x-mpegurl", "protected by DRM"),
    ],
)
def test_what_is_no_video_fails_with_words(
    host: Host, api: APIClient, settings: Any, body: bytes, kind: str, told: str
):
    done = delivered(api, host.body("/thing", body, kind))
    assert done.status in (JobStatus.FAILED, JobStatus.QUEUED)
    assert told in done.error_message
    assert done.error_message
    assert list(settings.DOWNLOAD_DIR.rglob("*.strm")) == []
    assert not LinkAddress.objects.exists()


@pytest.mark.parametrize(("status", "left"), [(404, "failed"), (410, "failed"), (503, "queued")])
def test_a_host_that_is_away_is_tried_again_and_one_that_has_nothing_is_not(
    host: Host, api: APIClient, status: int, left: str
):
    done = delivered(api, host.body("/film.mp4", b"", "text/plain", status))
    assert (done.status, str(status) in done.error_message) == (left, True)


def test_a_private_address_is_not_asked(host: Host, api: APIClient, film: bytes, settings: Any):
    host.file("/film.mp4", film)
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    done = delivered(api, host.at("/film.mp4"))
    assert done.status == JobStatus.FAILED
    assert host.asked == []
    assert "OUTBOUND_ALLOWED_PRIVATE_HOSTS" in done.error_message


def test_a_redirect_to_a_private_address_is_not_followed(host: Host, api: APIClient):
    done = delivered(api, host.redirect("/go", "http://169.254.169.254/latest/meta-data/"))
    assert done.status == JobStatus.FAILED
    assert host.paths() == ["/go"]
    assert "may not be reached" in done.error_message


def test_a_link_may_end_when_its_owner_wants_that(
    player: Player, host: Host, api: APIClient, film: bytes, settings: Any, monkeypatch: Any
):
    settings.STRM_LINK_DAYS = 10
    link = line(delivered(api, host.file("/film.mp4", film)))
    assert player.get(link).status == 200
    left = int(link.partition("exp=")[2].partition("&")[0]) - time()
    assert 10 * 86_400 - 60 < left <= 15 * 86_400
    monkeypatch.setattr("strm.links.time", lambda: time() + 16 * 86_400)
    assert player.get(link).status == 410


def test_without_an_address_of_ours_it_says_what_to_set(
    host: Host, api: APIClient, film: bytes, settings: Any
):
    settings.STRM_PUBLIC_BASE_URL = settings.PUBLIC_URL = ""
    done = delivered(api, host.file("/film.mp4", film))
    assert done.status == JobStatus.FAILED
    assert "STRM_PUBLIC_BASE_URL" in done.error_message


# --- Who asks for it, and how ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567", "https://a.example/x.torrent"],
)
def test_a_torrent_is_refused_at_once(api: APIClient, url: str):
    told = push(api, url)
    assert (told["status"], "cannot be played" in told["reason"]) == ("rejected", True)
    processing.run()
    assert not Job.objects.exists()
    # As a download it is welcome all the same.
    link = Link.objects.get()
    assert api.post(f"/api/v1/links/{link.pk}/dispatch").status_code == 409
    assert api.post(f"/api/v1/links/{link.pk}/dispatch", {"mode": "download"}).status_code == 200
    assert Job.objects.get().magnet_metadata["mode"] == "download"


@pytest.mark.parametrize("mode", ["play", 7, ["strm"], {}])
def test_a_mode_that_there_is_not_is_said(api: APIClient, mode: Any):
    told = push(api, "https://a.example/1.mp4", mode=mode)
    assert told["status"] == "rejected" or (mode == {} and told["status"] == "created")
    bad = api.post("/api/v1/fetcher-results", {"source": "f", "items": [], "mode": mode}, format="json")  # fmt: skip
    assert bad.status_code == (400 if mode else 200)


def test_the_mode_of_a_request_is_that_of_items_that_name_none(api: APIClient):
    items = [
        {"title": "A", "url": "https://a.example/1.mp4"},
        {"title": "B", "url": "https://a.example/2.mp4", "mode": "download"},
    ]
    sent = {"source": "fetcher", "mode": "strm", "items": items}
    assert api.post("/api/v1/fetcher-results", sent, format="json").status_code == 200
    assert list(Link.objects.order_by("pk").values_list("title", "mode").order_by("title")) == [
        ("A", "strm"),
        ("B", "download"),
    ]
    assert {one["mode"] for one in api.get("/api/v1/links").json()["results"]} == {"strm", "download"}  # fmt: skip


def test_a_stream_is_carried_by_us_whoever_else_takes_links(api: APIClient):
    push(api, "https://a.example/1.mp4")
    processing.run()
    job = Job.objects.get()
    assert list(Job.objects.due(timezone.now())) == [job]
    assert not Job.objects.dispatchable(timezone.now()).exists()


def test_the_video_and_the_file_that_plays_it_are_two_downloads(api: APIClient):
    url = "https://a.example/1.mp4"
    video = services.enqueue(order_for(url))[0]
    push(api, url)
    processing.run()
    link = Link.objects.get()
    assert link.state == "dispatched"
    assert link.job != video
    again = api.post(f"/api/v1/links/{link.pk}/dispatch", {"mode": "download"}).json()
    assert (again["job"], again["mode"]) == (video.pk, "download")


def test_a_feed_may_want_it_for_all_its_links(api: APIClient):
    answer = api.post("/api/v1/feeds", {"url": "https://a.example/rss", "mode": "strm"})
    assert (answer.status_code, answer.json()["mode"]) == (201, "strm")
    assert Feed.objects.get().mode == "strm"
    changed = api.patch(f"/api/v1/feeds/{Feed.objects.get().pk}", {"mode": "download"})
    assert changed.json()["mode"] == "download"
    assert api.patch(f"/api/v1/feeds/{Feed.objects.get().pk}", {"mode": "x"}).status_code == 400


def test_a_single_order_over_rest_may_want_it(api: APIClient):
    answer = api.post(
        "/api/v1/downloads", {"url": "https://a.example/1.mp4?key=abc", "mode": "strm"}
    )
    assert answer.status_code == 201, answer.content
    job = Job.objects.get()
    assert job.magnet_metadata["mode"] == "strm"
    shown = answer.json()["url"]
    assert shown.startswith(f"magnet:?xt=urn:btih:{job.infohash}")
    assert "abc" not in shown
    # What is shown makes the same again.
    again = api.post("/api/v1/downloads", {"magnet": shown})
    assert (again.status_code, again.json()["id"]) == (200, job.pk)
    refused = api.post(
        "/api/v1/downloads",
        {"url": "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567", "mode": "strm"},
    )
    assert refused.status_code in (400, 409)
    assert "cannot be played" in refused.content.decode()


def test_a_download_client_may_grab_it_as_a_magnet(
    player: Player, host: Host, api: APIClient, film: bytes, settings: Any
):
    url = host.file("/film.mp4", film)
    services.enqueue(order_for(url))  # somebody gave us the address before
    identity = as_strm(order_for(url)).identity
    assert identity is not None
    caller = Caller(Authorization=f"Bearer {settings.API_KEY}")
    magnet = Release(identity, "Film", "GROUP").magnet
    assert caller.multipart("torrents/add", urls=magnet).content == b"Ok."
    done = run(Job.objects.get(infohash=identity.infohash))
    assert player.get(line(done)).body == film


def test_the_owner_may_want_it_in_the_admin(admin_client: Client):
    django_settings.STATIC_ROOT.mkdir(exist_ok=True)
    link = Link.objects.create(
        source="f", url="https://a.example/1.mp4", url_sha1="1" * 40, title="A", download_type="http",
        state="filtered", batch="0" * 32,
    )  # fmt: skip
    admin_client.post(
        reverse("admin:downloads_link_changelist"),
        {"action": "write_strm", "_selected_action": [link.pk]},
    )
    link.refresh_from_db()
    assert (link.mode, link.state) == ("strm", "dispatched")
    assert Job.objects.get().magnet_metadata["mode"] == "strm"
    pushed.remember("2" * 40, f"https://a.example/?{KEYED}", "A film")
    page = admin_client.get(reverse("admin:strm_linkaddress_changelist")).content.decode()
    assert "A film" in page
    one = admin_client.get(reverse("admin:strm_linkaddress_change", args=["2" * 40]))
    assert LinkAddress.objects.get().address not in one.content.decode()


def test_the_kind_is_what_the_bytes_say(host: Host, film: bytes):
    cases = {
        "/a": (film, "text/html", StreamKind.FILE),
        "/b": (b"#EXTM3U\n", "video/mp4", StreamKind.HLS),
        "/c": (b"<?xml version='1.0'?><MPD/>", "text/plain", StreamKind.DASH),
        "/d": (b"\1\2\3" * 300, "video/x-odd", StreamKind.FILE),
    }
    for path, (body, said, kind) in cases.items():
        assert pushed.at(host.body(path, body, said)).kind == kind
    resolved = resolving.learnt(Identity("link", "x", 0, 0, ""), pushed.at(host.at("/a")))
    assert resolved is None
