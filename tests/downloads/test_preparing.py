"""Fetching .torrent files before they are handed over."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.utils import timezone

from downloads import dispatching, preparing, services
from downloads.models import Job, JobStatus, JobTorrent
from downloads.orders import order_for, order_for_torrent
from tests.downloads.hybrid import hybrid_torrent
from tests.downloads.loopback import Quiet, served
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus
TORRENT = hybrid_torrent("Film.mkv", b"12345")
HASH = "c" * 40


@dataclass
class Web:
    """A web server: path → (status, headers, body)."""

    url: str = ""
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web(settings) -> Iterator[Web]:
    it = Web()

    class Handler(Quiet):
        def do_GET(self) -> None:
            it.asked.append(self.path)
            status, headers, body = it.pages.get(self.path, (404, {}, b"no"))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as it.url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [it.url.removeprefix("http://")]
        yield it


def add(web: Web, path: str = "/a.torrent") -> Job:
    return services.enqueue(order_for(f"{web.url}{path}"))[0]


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_the_hash_is_known_before_the_link_is_handed_over(service: Double, web: Web):
    announce(service, "box")
    web.pages["/a.torrent"] = (200, {}, TORRENT)
    job = add(web)
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": None, "status": "accepted"}]},
    )
    dispatching.run()
    kept = JobTorrent.objects.get(job=job)
    assert (now(job).status, now(job).remote_id) == (S.DOWNLOADING, kept.v1)
    assert now(job).total_bytes == 5
    assert service.taken() == [f"{web.url}/a.torrent"]


def test_it_is_fetched_once(service: Double, web: Web):
    web.pages["/a.torrent"] = (200, {}, TORRENT)
    job = add(web)
    dispatching.run()
    assert web.asked == [], "not before somebody can take it"
    announce(service, "box")
    dispatching.run()
    assert web.asked == ["/a.torrent"]
    assert preparing.prepare(now(job))
    assert web.asked == ["/a.torrent"]


def test_redirects_are_followed_and_may_end_at_a_magnet(service: Double, web: Web):
    announce(service, "box")
    magnet = f"magnet:?xt=urn:btih:{HASH}&dn=From.Indexer"
    web.pages["/a.torrent"] = (302, {"Location": "/b?x=1"}, b"")
    web.pages["/b?x=1"] = (301, {"Location": magnet}, b"")
    job = add(web)
    dispatching.run()
    assert (now(job).download_type, now(job).url) == ("magnet", magnet)
    assert (now(job).status, now(job).remote_id) == (S.DOWNLOADING, HASH)
    again, created = services.enqueue(order_for(f"{web.url}/a.torrent"))
    assert (again.pk, created) == (job.pk, False)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ((404, {}, b"no"), "there is no .torrent file: 127.0.0.1 answered 404"),
        ((200, {}, b"<html>login</html>"), "no .torrent file, or it is damaged"),
        ((200, {}, hybrid_torrent("F", b"1", v1=False)), "v2 only"),
        ((302, {"Location": "/a.torrent"}, b""), "redirects in circles"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "only http and https"),
        ((302, {"Location": "http://127.0.0.1:9/x"}, b""), "OUTBOUND_ALLOWED_PRIVATE_HOSTS"),
        ((302, {"Location": "magnet:?xt=urn:btih:short"}, b""), "is no infohash"),
        ((200, {"Content-Length": str(2**30)}, b""), "larger than"),
    ],
)
def test_what_will_never_be_a_torrent_fails_with_words(service, web: Web, page, words: str):
    announce(service, "box")
    web.pages["/a.torrent"] = page
    job = add(web)
    dispatching.run()
    assert now(job).status == S.FAILED
    assert words in now(job).error_message
    assert service.asked == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_pass_is_tried_again_later_and_not_for_ever(service, web: Web, status: int):
    announce(service, "box")
    web.pages["/a.torrent"] = (status, {}, b"busy")
    job = add(web)
    waits = []
    for _ in preparing.RETRY_AFTER:
        dispatching.run()
        waits.append((now(job).not_before - timezone.now()).total_seconds())
        assert "next try in" in now(job).error_message
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    assert [round(wait) for wait in waits] == pytest.approx(preparing.RETRY_AFTER, abs=30)
    dispatching.run()
    assert now(job).status == S.FAILED
    assert f"answered {status}" in now(job).error_message


def test_a_link_that_comes_back_is_handed_over(service: Double, web: Web):
    announce(service, "box")
    job = add(web)
    web.pages["/a.torrent"] = (500, {}, b"")
    dispatching.run()
    web.pages["/a.torrent"] = (200, {}, TORRENT)
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    dispatching.run()
    assert (now(job).status, now(job).error_message) == (S.DOWNLOADING, "")


def test_an_uploaded_file_goes_to_a_service_as_a_magnet(service: Double):
    announce(service, "box")
    job = services.enqueue(order_for_torrent(TORRENT))[0]
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    assert service.taken() == [f"magnet:?xt=urn:btih:{job.infohash}&dn=Film.mkv"]


def test_a_private_torrents_file_is_not_made_a_magnet(service: Double):
    announce(service, "box")
    private = TORRENT.replace(b"6:pieces", b"7:privatei1e6:pieces")  # keys out of order are fine
    job = services.enqueue(order_for_torrent(private))[0]
    dispatching.run()
    assert (now(job).status, service.taken()) == (S.FAILED, [])
    assert "box: a private torrent's file is no link to give" in now(job).error_message
