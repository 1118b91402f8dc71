"""Orders of every kind, and the jobs that they become."""

import hashlib
from pathlib import Path

import pytest

from catalogue.releases import Identity, Release
from downloads import orders, services
from downloads.detection import DownloadType
from downloads.errors import NotATorrent, UnsupportedLink
from downloads.models import Job, JobStatus, JobTorrent
from downloads.orders import order_for, order_for_torrent
from tests.downloads.hybrid import hybrid_torrent

HASH = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
S, T = JobStatus, DownloadType


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def test_a_magnet_of_ours():
    identity = Identity("demo", "sintel", 1, 1, "German Dub")
    order = order_for(Release(identity, "Sintel", "DEMO", provider="VOE").magnet, category="tv")
    assert (order.infohash, order.identity) == (identity.infohash, identity)
    assert (order.download_type, order.url, order.provider) == (T.EPISODE, "", "VOE")
    assert order.name.startswith("Sintel.S01E01")


def test_a_foreign_magnet():
    text = f"magnet:?xt=urn:btih:{HASH.upper()}&dn=Some.Film.2020&xl=12345&tr=http%3A%2F%2Ft%2Fa"
    order = order_for(text, paused=True)
    assert (order.infohash, order.name, order.size_bytes) == (HASH, "Some.Film.2020", 12345)
    assert (order.download_type, order.url, order.identity) == (T.MAGNET, text, None)
    assert order.paused


def test_a_link_is_known_by_the_hash_of_its_url():
    url = "https://files.example/Some.Film.2020.mkv"
    order = order_for(" HTTPS://Files.Example/Some.Film.2020.mkv#x", name="Own name")
    assert order.infohash == sha1(f"link|{sha1(url)}")
    assert (order.url, order.name, order.download_type) == (url, "Own name", T.HTTP)
    assert order_for(url).name == "Some.Film.2020"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a%20b.mp4", "a b"),
        ("https://h/dl?id=1&file=Show.S01E01.mkv", "Show.S01E01"),
        ("https://h/x/Show.S01.torrent", "Show.S01"),
        ("https://h/x/report.v2", "report.v2"),
        ("https://h/", "h"),
        ("https://h/..", "h"),
        ("https://h/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd"),
        ("https://h/dl?file=..%2F..%2Fetc%2Fpasswd.mkv", "passwd"),
        ("https://h/a%00b%0Ac.mkv", "ab c"),
    ],
)
def test_the_name_that_a_url_gives(url: str, name: str):
    assert orders.name_in(url) == name


def test_a_torrent_file():
    content = hybrid_torrent("Film.mkv", b"12345")
    order = order_for_torrent(content, save_path=Path("/downloads/x"))
    assert (order.download_type, order.torrent, order.name) == (T.TORRENT, content, "Film.mkv")
    assert (order.size_bytes, len(order.infohash)) == (5, 40)
    with pytest.raises(NotATorrent):
        order_for_torrent(b"nonsense")


def test_what_cannot_be_fetched_raises_the_reason():
    with pytest.raises(UnsupportedLink, match="«ftp» links"):
        order_for("ftp://files.example/a")


def test_a_magnet_of_a_pushed_link_leads_to_its_url(monkeypatch):
    url = "https://files.example/film.mp4"
    identity = orders.link_identity(url)
    magnet = Release(identity, "Film", "LINK").magnet
    monkeypatch.setitem(orders.resolvers, "link", {}.get)
    with pytest.raises(UnsupportedLink, match="is not here any more"):
        order_for(magnet)
    monkeypatch.setitem(orders.resolvers, "link", {identity.slug: url}.get)
    order = order_for(magnet)
    assert (order.infohash, order.url, order.download_type) == (
        order_for(url).infohash,
        url,
        T.HTTP,
    )
    monkeypatch.setitem(
        orders.resolvers,
        "link",
        lambda slug: (
            Release(Identity("demo", "sintel", 1, 1, "German Dub"), "Sintel", "DEMO").magnet
        ),
    )
    with pytest.raises(UnsupportedLink, match="in a circle"):
        order_for(magnet)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        f"magnet:?xt=urn:btih:{HASH}&dn=x",
        "https://files.example/a.torrent",
        "https://files.example/a.mkv",
    ],
)
def test_ordering_twice_is_one_job(text: str, downloads_root: Path):
    first, created = services.enqueue(order_for(text, category="films"))
    second, again = services.enqueue(order_for(text))
    assert (created, again, first.pk) == (True, False, second.pk)
    assert (first.source_site, first.status) == ("link", S.QUEUED)
    assert first.save_path == str(downloads_root / "films")
    assert first.url == text


@pytest.mark.django_db
def test_an_uploaded_torrent_is_kept_with_its_hashes(downloads_root: Path):
    content = hybrid_torrent("Film.mkv", b"12345")
    job, _ = services.enqueue(order_for_torrent(content))
    kept = JobTorrent.objects.get(job=job)
    assert bytes(kept.content) == content
    assert (kept.v1, len(kept.v2)) == (job.infohash, 64)
    assert services.enqueue(order_for_torrent(content))[1] is False
    magnet = order_for(f"magnet:?xt=urn:btih:{job.infohash}")
    assert services.enqueue(magnet) == (job, False), "the same torrent as a magnet is the same job"


@pytest.mark.django_db
def test_what_an_order_says_stands_in_the_job(downloads_root: Path):
    from dataclasses import replace

    order = replace(
        order_for("https://files.example/a.mkv", paused=True),
        rate_limit=1000,
        checksum="sha256:" + "a" * 64,
        layout="library",
        naming={"title": "A"},
    )
    job = Job.objects.get(pk=services.enqueue(order)[0].pk)
    assert (job.status, job.rate_limit, job.layout) == (S.PAUSED, 1000, "library")
    assert (job.checksum, job.naming) == ("sha256:" + "a" * 64, {"title": "A"})


@pytest.mark.django_db
def test_a_finished_job_elsewhere_is_not_fetched_again_since_we_cannot_see_it(downloads_root):
    """What lies on another machine was never seen here."""
    from downloads.models import Downloader

    box = Downloader.objects.create(name="box", kind="remote", base_url="http://box")
    job, _ = services.enqueue(order_for("https://files.example/a.mkv"))
    Job.objects.filter(pk=job.pk).update(
        status=S.COMPLETED, downloader=box, remote_id="1", result_path="/far/away.mkv"
    )
    assert services.enqueue(order_for("https://files.example/a.mkv"))[0].status == S.COMPLETED
