"""Jobs that become .strm files: the demo catalogue over HTTP, the file system, and a player at the other end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from anibridge.lib import http
from catalogue.models import Site
from catalogue.releases import Identity, Release
from downloads import deliveries, runner, services, transitions
from downloads.models import Job, JobStatus
from downloads.orders import Order, order_for
from strm import links
from strm.models import StrmUrlMapping
from tests.downloads.orders import order
from tests.qbshim.conftest import Caller
from tests.strm.player import Player

BASE = "http://anibridge.test:8000"


def strm_order(**fields: Any) -> Order:
    """An order as the magnet of a [STRM] variant gives it."""
    plain = order(**fields)
    identity = replace(plain.identity, strm=True)
    return replace(plain, identity=identity, infohash=identity.infohash)


def run(job: Job) -> Job:
    token = transitions.claim(job.pk, "worker@test")
    assert token is not None
    runner.execute(job.pk, token)
    return Job.objects.get(pk=job.pk)


def delivered(**fields: Any) -> Job:
    return run(services.enqueue(strm_order(**fields))[0])


def everything_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def proxied(settings: Any) -> None:
    settings.STRM_PROXY_MODE = "proxy"
    settings.STRM_PUBLIC_BASE_URL = BASE


def test_a_link_of_ours_is_written_under_the_grabbed_name(
    demo_site: Site, proxied: None, settings: Any
):
    done = delivered(category="tv", name="Sintel.S01E01.German.1080p.WEB.H264-DEMO [STRM]")
    assert (done.status, done.error_message) == (JobStatus.COMPLETED, "")
    path = settings.DOWNLOAD_DIR / "tv" / "Sintel.S01E01.German.1080p.WEB.H264-DEMO.strm"
    assert done.result_path == str(path)
    expected = links.stream_url(Identity("demo", "sintel", 1, 1, "German Dub"), base_url=BASE)
    assert path.read_bytes() == f"{expected}\n".encode()
    assert everything_below(settings.DOWNLOAD_DIR) == [f"tv/{path.name}"]
    assert done.total_bytes == done.downloaded_bytes == path.stat().st_size > 0
    assert (done.progress, done.files.get().path) == (1.0, str(path))


def test_the_magnet_of_a_variant_becomes_such_a_job(demo_site: Site, proxied: None):
    identity = Identity("demo", "sintel", 1, 1, "German Dub", strm=True)
    text = (
        f"magnet:?xt=urn:btih:{identity.infohash}&dn=Sintel.S01E01.German.1080p.WEB.H264-DEMO+[STRM]"
        "&demo_slug=sintel&demo_s=1&demo_e=1&demo_lang=German+Dub&demo_site=demo&demo_mode=strm"
    )
    done = run(services.enqueue(order_for(text))[0])
    assert done.status == JobStatus.COMPLETED, done.error_message
    assert Path(done.result_path).name == "Sintel.S01E01.German.1080p.WEB.H264-DEMO.strm"


@pytest.mark.django_db(transaction=True)
def test_what_is_written_plays(demo_site: Site, proxied: None, player: Player):
    done = delivered()
    line = Path(done.result_path).read_text().strip()
    looked = StrmUrlMapping.objects.get().version
    reply = player.get(line, Range="bytes=0-99")
    assert (reply.status, len(reply.body)) == (206, 100)
    assert (
        StrmUrlMapping.objects.get().version == looked == 1
    )  # found by the job, not looked for again


def test_a_direct_link_is_the_hosts_own_and_its_end_is_noted(demo_site: Site, settings: Any):
    done = delivered()
    url = Path(done.result_path).read_text().removesuffix("\n")
    assert url.startswith(demo_site.base_url)
    assert http.fetch(url, headers={"Range": "bytes=0-9"}).ok
    reasons = list(done.events.values_list("reason", flat=True))
    assert any(one.startswith(f"direct link of {done.host}: it ") for one in reasons)
    assert any(
        one.startswith("VOE: ") for one in reasons
    )  # the first host of this episode is a 404
    assert done.host not in ("", "VOE")


def test_links_of_ours_need_an_address_and_say_which_to_set(demo_site: Site, settings: Any):
    settings.STRM_PROXY_MODE, settings.STRM_PUBLIC_BASE_URL, settings.PUBLIC_URL = "proxy", "", ""
    done = delivered()
    assert done.status == JobStatus.FAILED
    assert "STRM_PUBLIC_BASE_URL" in done.error_message
    settings.PUBLIC_URL = "http://nas:8000/"
    done = run(services.retry(done.pk))
    assert Path(done.result_path).read_text().startswith("http://nas:8000/strm/stream?")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"slug": "no-such-title"}, "nicht gefunden"),
        ({"episode": 99}, "99"),
        ({"language": "English Sub"}, "not offered in English Sub, only in "),
        (
            {"slug": "kaeptn-gruenspan-die-moewen", "season": 2, "episode": 2},
            "nothing was uploaded",
        ),
        ({"slug": "die-baeckerei-am-ende-der-strasse", "season": 1, "episode": 99}, "99"),
    ],
)
def test_what_is_not_there_fails_with_words(
    demo_site: Site, proxied: None, settings: Any, wrong: dict[str, Any], told: str
):
    done = delivered(**wrong)
    assert done.status == JobStatus.FAILED
    assert told in done.error_message
    assert everything_below(settings.DOWNLOAD_DIR) == []


@pytest.mark.parametrize(
    ("slug", "episode"),
    [
        ("big-buck-bunny", 1),  # a page without a video
        ("tears-of-steel", 1),  # HTML that calls itself video/mp4
        ("die-baeckerei-am-ende-der-strasse", 2),  # 404, then HLS
    ],
)
def test_a_host_without_a_video_gives_way_to_the_next(demo_site: Site, slug: str, episode: int):
    done = delivered(slug=slug, episode=episode)
    assert done.status == JobStatus.COMPLETED, done.error_message
    assert done.host not in ("", "VOE")


def test_a_playlist_without_its_segments_is_no_stream(
    demo_site: Site, monkeypatch: pytest.MonkeyPatch
):
    slug = "die-baeckerei-am-ende-der-strasse"
    good = http.stream

    def without_segments(url: str, **rest: Any) -> Any:
        return good(url.replace(".ts", ".gone") if url.endswith(".ts") else url, **rest)

    monkeypatch.setattr("strm.probing.http.stream", without_segments)
    done = delivered(slug=slug, season=2, episode=1)
    assert done.status == JobStatus.FAILED
    assert "HTTP status 404" in done.error_message


def test_a_site_that_is_away_puts_the_job_off(demo_site: Site, proxied: None):
    Site.objects.update(base_url="http://127.0.0.1:9")
    for _ in range(2):  # the second look is no harsher than the first
        Job.objects.update(not_before=timezone.now())
        waiting = delivered()
        assert waiting.status == JobStatus.QUEUED
        assert "next try in" in waiting.error_message


def test_a_season_becomes_one_file_for_each_episode(demo_site: Site, proxied: None, settings: Any):
    done = delivered(
        slug="404-maedchen-nicht-gefunden",
        episode=None,
        name="Not.Found.S01.German.720p.WEB.H264-DEMO",
    )
    assert done.status == JobStatus.COMPLETED, done.error_message
    folder = settings.DOWNLOAD_DIR / "Not.Found.S01.German.720p.WEB.H264-DEMO"
    assert done.result_path == str(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "Not.Found.S01E01.German.720p.WEB.H264-DEMO.strm"
    assert len(names) == done.files.count() > 1
    assert done.total_bytes == sum(path.stat().st_size for path in folder.iterdir())
    for number, name in enumerate(names, start=1):
        assert f"e={number}&" in (folder / name).read_text()


def test_a_file_of_somebody_else_keeps_its_name(demo_site: Site, proxied: None, settings: Any):
    taken = settings.DOWNLOAD_DIR / "Sintel.S01E01.German.1080p.WEB.H264-DEMO.strm"
    taken.write_text("mine\n")
    done = delivered()
    assert taken.read_text() == "mine\n"
    assert Path(done.result_path).name == "Sintel.S01E01.German.1080p.WEB.H264-DEMO.2.strm"


def test_the_video_and_its_variant_are_two_jobs(demo_site: Site, proxied: None):
    video, _ = services.enqueue(order())
    variant, created = services.enqueue(strm_order())
    assert created
    assert video.pk != variant.pk
    assert deliveries.of(video) is None
    assert deliveries.of(variant) is not None


def test_sonarr_grabs_it_and_finds_a_file_to_import(demo_site: Site, proxied: None, settings: Any):
    caller = Caller(Authorization=f"Bearer {settings.API_KEY}")
    identity = Identity("demo", "sintel", 1, 1, "German Dub", strm=True)
    name = "Sintel.S01E01.German.1080p.WEB.H264-DEMO"
    release = Release(identity, "Sintel", "DEMO", height=1080)
    assert release.strm_name == f"{name} [STRM]"
    assert caller.multipart("torrents/add", urls=release.magnet, category="tv").content == b"Ok."
    job = Job.objects.get()
    waiting = caller.one(job)
    assert (waiting["hash"], waiting["category"]) == (identity.infohash, "tv")
    done = run(job)
    assert done.status == JobStatus.COMPLETED, done.error_message
    told = caller.one(job)
    assert (told["state"], told["progress"], told["amount_left"]) == ("stoppedUP", 1, 0)
    assert told["size"] == told["completed"] == Path(done.result_path).stat().st_size > 0
    assert told["content_path"] == done.result_path != told["save_path"]
    assert Path(told["content_path"]).name == f"{name}.strm"
    (file,) = caller.get("torrents/files", hash=job.infohash).json()
    assert (file["name"], file["size"]) == (f"{name}.strm", told["size"])
    assert (
        caller.post("torrents/delete", hashes=job.infohash, deleteFiles="true").status_code == 200
    )
    assert everything_below(settings.DOWNLOAD_DIR) == []
