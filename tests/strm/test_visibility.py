"""What is seen of playing: the dashboard, the API, the metrics."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from catalogue.models import Site, Title
from strm import checks, cleanup, nowplaying
from strm.models import FormerPlaybacks, LibraryTitle, StreamSession
from tests.downloads.factories import JobFactory
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return Site.objects.create(
        site_id="demo",
        display_name="Demo",
        base_url="https://demo.test",
        enabled=True,
        index_size=11,
    )


@pytest.fixture
def keyed(settings: Any) -> Client:
    return Client(headers={"X-Api-Key": settings.API_KEY})


def session(key: str = "1", **fields: Any) -> StreamSession:
    now = timezone.now()
    values: dict[str, Any] = {
        "site": "demo", "slug": "sintel", "season": 1, "episode": 2, "language": "German Dub", "mapping": "m",
        "client": "c", "address": "192.0.2.7", "agent": "Kodi/21", "host": "cdn.test", "kind": "hls",
        "started_at": now - timedelta(seconds=100), "seen_at": now, "bytes_sent": 5_000_000,
    }  # fmt: skip
    return StreamSession.objects.create(key=key * 32, **{**values, **fields})


def metrics(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_dashboard_shows_who_plays_what(admin_client: Client, site: Site):
    Title.objects.create(site=site, slug="sintel", name="Sintel <b>")
    session(errors=2, last_error="cdn.test answered with HTTP status 403 <script>")
    session("2", slug="over", seen_at=timezone.now() - timedelta(minutes=5))
    page = admin_client.get("/dashboard/now").content.decode()
    for told in (
        "Sintel &lt;b&gt; S01E02",
        "192.0.2.7",
        "Kodi/21",
        "cdn.test",
        "4.8\xa0MB",
        "2 errors: ",
    ):
        assert told in page
    assert "<script>" not in page
    assert "over" not in page


def test_an_empty_house_has_no_such_part(admin_client: Client):
    assert "Now playing" not in admin_client.get("/dashboard/now").content.decode()


def test_the_api_lists_what_is_played_and_what_was(keyed: Client, site: Site):
    session()
    session("2", slug="over", seen_at=timezone.now() - timedelta(minutes=5))
    said = keyed.get("/api/v1/strm/playbacks").json()
    assert said["count"] == 1
    (one,) = said["results"]
    assert (one["title"], one["slug"], one["address"], one["host"]) == (
        "sintel",
        "sintel",
        "192.0.2.7",
        "cdn.test",
    )
    assert one["bytes_sent"] == 5_000_000
    assert 40_000 <= one["speed"] <= 50_000  # over the whole of it, at the first look
    assert {"key", "mapping", "client"}.isdisjoint(one)
    rest = keyed.get("/api/v1/strm/playbacks?all=true").json()
    assert [row["slug"] for row in rest["results"]] == ["sintel", "over"]


def test_the_speed_is_that_of_the_last_half_minute():
    now = timezone.now().timestamp()
    row = session()
    cache.set(
        "strm-speeds",
        {row.key: [(now - 55, 1_000_000), (now - 40, 2_000_000), (now - 20, 3_000_000)]},
    )
    (one,) = nowplaying.playing()
    assert 70_000 <= one.speed <= 75_000  # three million bytes in forty seconds
    (again,) = nowplaying.playing()
    assert 70_000 <= again.speed <= 75_000  # nothing new was written in between


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/strm/playbacks", "/api/v1/strm/library"])
def test_it_is_closed_to_others(client: Client, path: str, settings: Any):
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"X-Api-Key": "wrong"}).status_code == 401
    assert client.get(path, {"apikey": settings.API_KEY}).status_code == 200


def test_a_signed_in_user_sees_the_metrics(admin_client: Client):
    assert admin_client.get("/metrics").status_code == 200


def test_the_metrics_tell_of_jobs_sites_and_streams(keyed: Client, site: Site):
    JobFactory()
    JobFactory.create_batch(2, running=True)
    JobFactory(completed=True, removed_at=timezone.now())
    Site.objects.update(failures=3, back_off_until=timezone.now() + timedelta(minutes=10))
    Site.objects.create(site_id="off", display_name="Off", base_url="https://off.test")
    session(errors=2)
    session("2", kind="file", bytes_sent=1, seen_at=timezone.now() - timedelta(minutes=5))
    FormerPlaybacks.objects.create(pk=1, playbacks=10, bytes_sent=100, errors=1)
    said = metrics(keyed)
    assert said["anibridge_jobs"][("queued",)] == 1
    assert said["anibridge_jobs"][("downloading",)] == 2
    assert said["anibridge_jobs"][("completed",)] == 0
    assert said["anibridge_jobs_downloaded_bytes"][("downloading",)] == 200 * 2**20
    assert said["anibridge_download_speed_bytes_per_second"][()] == 10 * 2**20
    assert said["anibridge_site_up"] == {("demo",): 0}
    assert said["anibridge_site_failures"] == {("demo",): 3}
    assert 500 < said["anibridge_site_back_off_seconds"][("demo",)] <= 600
    assert said["anibridge_site_titles"] == {("demo",): 11}
    assert said["anibridge_strm_playbacks_active"] == {
        ("hls",): 1,
        ("file",): 0,
        ("dash",): 0,
        ("unknown",): 0,
    }
    assert sum(said["anibridge_strm_host_playbacks_active"].values()) == 1
    assert said["anibridge_strm_playbacks_total"][()] == 12
    assert said["anibridge_strm_sent_bytes_total"][()] == 5_000_101
    assert said["anibridge_strm_errors_total"][()] == 3
    assert said["anibridge_process_up"][("beat",)] == 0


def test_a_scrape_costs_few_questions(
    keyed: Client, site: Site, django_assert_max_num_queries: Any
):
    JobFactory.create_batch(20)
    for number in range(20):
        session(chr(ord("a") + number))
    with django_assert_max_num_queries(9):
        keyed.get("/metrics")


def test_totals_do_not_go_back_when_old_playbacks_are_forgotten(keyed: Client):
    session(errors=1)
    session("2", seen_at=timezone.now() - timedelta(days=60), errors=4)
    before = metrics(keyed)
    assert cleanup.forget(dry_run=True)["playbacks"] == 1
    assert StreamSession.objects.count() == 2
    cleanup.forget()
    cleanup.forget()
    assert StreamSession.objects.count() == 1
    after = metrics(keyed)
    for name in (
        "anibridge_strm_playbacks_total",
        "anibridge_strm_sent_bytes_total",
        "anibridge_strm_errors_total",
    ):
        assert after[name] == before[name]


def test_prometheus_gets_the_format_that_it_asks_for(keyed: Client):
    answer = keyed.get(
        "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
    )
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


@pytest.mark.django_db(transaction=True)
def test_a_real_playback_is_seen(player: Player, host: Host, source: Source):
    host.file("/film.mp4", bytes(4) + b"ftypisom" + bytes(300_000), "video/mp4")
    reply = player.get(source.offer("film", stream(host.at("/film.mp4"))), user_agent="mpv/1")
    assert len(reply.body) == 300_012
    player.run(player.engine.playbacks.write())
    (one,) = nowplaying.playing()
    assert (one.title, one.session.agent, one.session.bytes_sent) == ("film", "mpv/1", 300_012)
    assert nowplaying.totals().active == {"file": 1}
    assert nowplaying.totals().hosts == {"127.0.0.1": 1}


def test_the_library_is_chosen_over_the_api(keyed: Client, site: Site):
    def post(**fields: Any) -> Any:
        return keyed.post("/api/v1/strm/library", fields, content_type="application/json")

    made = post(site="demo", slug="sintel", languages=["German Sub"])
    assert made.status_code == 201, made.content
    assert made.json()["languages"] == ["German Sub"]
    again = post(site="demo", slug="sintel")
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    assert again.json()["languages"] == ["German Sub"]
    assert post(site="demo", slug="sintel", enabled=False).json()["enabled"] is False
    for wrong in (
        {"site": "nowhere"},
        {"slug": "../x"},
        {"languages": ["Klingon"]},
        {"languages": "German Sub"},
    ):
        refused = post(**{"site": "demo", "slug": "sintel", **wrong})
        assert refused.status_code == 400, wrong
        assert set(refused.json()["fields"]) == set(wrong)
    one = f"/api/v1/strm/library/{made.json()['id']}"
    other = post(site="demo", slug="caminandes").json()["id"]
    patch = keyed.patch(one, {"slug": "caminandes"}, content_type="application/json")
    assert patch.status_code == 400
    assert (
        keyed.patch(one, {"enabled": True}, content_type="application/json").json()["enabled"]
        is True
    )
    assert keyed.get("/api/v1/strm/library").json()["count"] == 2
    assert keyed.delete(one).status_code == 204
    assert [row.pk for row in LibraryTitle.objects.all()] == [other]


def test_a_worker_is_told_to_bring_it_in_step(keyed: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("strm.api.nudges.library", lambda: True)
    assert keyed.post("/api/v1/strm/library/sync").status_code == 202
    monkeypatch.setattr("strm.api.nudges.library", lambda: False)
    assert keyed.post("/api/v1/strm/library/sync").status_code == 503


@pytest.mark.parametrize(
    "model", ["streamsession", "strmurlmapping", "librarytitle", "libraryfile"]
)
def test_the_admin_shows_it(admin_client: Client, site: Site, model: str):
    session()
    LibraryTitle.objects.create(site="demo", slug="sintel")
    assert admin_client.get(f"/admin/strm/{model}/").status_code == 200


@pytest.mark.parametrize(
    ("typed", "meant"), [('["German Dub"]', ["German Dub"]), ("[]", []), ("", [])]
)
def test_the_admin_takes_a_title(admin_client: Client, site: Site, typed: str, meant: list[str]):
    form = {"site": "demo", "slug": "sintel", "languages": typed, "enabled": "on"}
    answer = admin_client.post("/admin/strm/librarytitle/add/", form)
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    assert LibraryTitle.objects.get().languages == meant


def test_settings_that_cannot_come_true_are_told_at_the_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    assert checks.files(None) == []
    settings.STRM_LIBRARY_HOURS, settings.STRM_LIBRARY_DIR = 6, None
    settings.STRM_REMUX = "mp4"
    monkeypatch.setattr("strm.checks.ytdlp.find_ffmpeg", lambda: None)
    assert [one.id for one in checks.files(None)] == ["strm.W004", "strm.W005"]
