"""What is no magnet of ours: foreign magnets, .torrent files, http links, and the links of our own indexer."""

import hashlib
from base64 import b32encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from catalogue import grabs
from catalogue.releases import Identity, Release, magnet_of
from downloads import dispatching, services
from downloads.models import Downloader, Job, JobStatus, JobTorrent
from downloads.orders import order_for
from qbshim.models import ClientTask
from tests.anibridge.lib import servers
from tests.anibridge.lib.servers import Server
from tests.downloads.hybrid import bencode, hybrid_torrent
from tests.downloads.protocol import Double, announce
from tests.downloads.protocol import double as double
from tests.qbshim.conftest import Caller

HASH = "ab" * 20
FOREIGN = f"magnet:?xt=urn:btih:{HASH}&dn=Some.Show.S01E01&xl=700&tr=http%3A%2F%2Ft.example"


def torrent(name: str = "Some.Film.mkv", *, size: int = 5) -> bytes:
    pieces = hashlib.sha1(b"x" * size).digest()
    info = {"name": name, "length": size, "piece length": 16384, "pieces": pieces}
    return bencode({"announce": "http://t.example", "info": info})


def v1_of(content: bytes) -> str:
    info = content[content.index(b"4:info") + 6 : -1]
    return hashlib.sha1(info).hexdigest()


def upload(content: bytes, name: str = "x.torrent") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "application/octet-stream")


@pytest.fixture
def service() -> Iterator[Double]:
    """A downloader that takes magnets and torrents."""
    with double() as it:
        yield it


@pytest.fixture
def web(settings: Any) -> Iterator[Server]:
    """A web server on loopback that we may ask."""
    with servers.running() as server:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [server.place]
        yield server


def test_a_foreign_magnet_goes_to_a_downloader(sonarr: Caller, service: Double):
    announce(service, "box")
    assert sonarr.post("torrents/add", urls=FOREIGN, category="tv").content == b"Ok."
    item = sonarr.one(HASH)
    assert (item["name"], item["state"], item["size"]) == ("Some.Show.S01E01", "queuedDL", 700)
    assert item["magnet_uri"] == FOREIGN
    dispatching.run()
    assert service.batches() == [[FOREIGN]]
    assert sonarr.one(HASH)["state"] != "queuedDL"


def test_without_a_downloader_it_is_an_error_that_says_why(sonarr: Caller):
    Downloader.objects.all().delete()
    assert sonarr.post("torrents/add", urls=FOREIGN).content == b"Ok."
    dispatching.run()
    item = sonarr.one(HASH)
    assert item["state"] == "error"
    assert item["comment"] == "no downloader takes magnet links; add one that does, or enable it"


def test_a_hash_in_base32_is_listed_in_hex(sonarr: Caller):
    magnet = "magnet:?xt=urn:btih:YC2KDBUCOCG75PW542BADL4ZBVULOWHH&dn=Probe"
    assert sonarr.post("torrents/add", urls=magnet).content == b"Ok."
    assert sonarr.info()[0]["hash"] == "c0b4a18682708dfebedde68201af990d68b758e7"


@pytest.mark.parametrize("given", ["a file", "a magnet", "a magnet that claims a size"])
def test_only_what_is_known_inside_has_metadata(sonarr: Caller, given: str):
    """Clean-up tools remove what stays in metaDL: a torrent file is never there."""
    known = given == "a file"
    if known:
        upload = SimpleUploadedFile("x.torrent", torrent())
        sonarr.multipart("torrents/add", torrents=upload)
    else:
        magnet = FOREIGN if "size" in given else FOREIGN.replace("&xl=700", "")
        sonarr.post("torrents/add", urls=magnet)
    [item] = sonarr.info()
    assert (item["has_metadata"], item["private"]) == (known, False if known else None)
    now = timezone.now()
    Job.objects.update(status=JobStatus.DOWNLOADING, active_at=now, started_at=now)
    [item] = sonarr.info()
    assert item["state"] == ("downloading" if known else "metaDL")
    assert (item["availability"], item["num_seeds"], item["dlspeed"]) == (0, 0, 0)
    Job.objects.update(active_at=now - timedelta(minutes=5))
    assert sonarr.info()[0]["state"] == "stalledDL"


@pytest.mark.parametrize("text", ["ab" * 20, "AB" * 20, b32encode(b"\xab" * 20).decode()])
def test_a_bare_hash_is_a_magnet(sonarr: Caller, text: str):
    assert sonarr.post("torrents/add", urls=f" {text}\n").content == b"Ok."
    item = sonarr.one("ab" * 20)
    assert (item["name"], item["magnet_uri"]) == ("ab" * 20, f"magnet:?xt=urn:btih:{text}")


@pytest.mark.parametrize("text", ["ab" * 19, "ab" * 32, "not a hash"])
def test_what_is_no_v1_hash_is_none(sonarr: Caller, text: str):
    assert sonarr.post("torrents/add", urls=text).content == b"Fails."


@pytest.mark.parametrize("field", ["torrents", "fileselect[]"])
def test_a_torrent_file_is_listed_under_its_hash(sonarr: Caller, field: str):
    content = torrent()
    answer = sonarr.multipart(
        "torrents/add", **{field: upload(content), "category": "films", "stopped": "true"}
    )
    assert answer.content == b"Ok."
    item = sonarr.one(v1_of(content))
    assert (item["name"], item["size"], item["state"]) == ("Some.Film.mkv", 5, "stoppedDL")
    assert item["category"] == "films"
    assert bytes(JobTorrent.objects.get().content) == content
    assert sonarr.get("torrents/export", hash=item["hash"]).content == content


def test_several_files_and_links_in_one_request(sonarr: Caller, release):
    one, two = torrent("A.mkv"), torrent("B.mkv")
    data = {"torrents": [upload(one), upload(two, "y.torrent")], "urls": release().magnet}
    assert sonarr.multipart("torrents/add", **data).content == b"Ok."
    hashes = {item["hash"] for item in sonarr.info()}
    assert hashes == {v1_of(one), v1_of(two), release().infohash}


def test_a_hybrid_torrent_is_taken_and_a_v2_one_is_not(sonarr: Caller):
    content = hybrid_torrent("x.mkv", b"data")
    assert sonarr.multipart("torrents/add", torrents=upload(content)).content == b"Ok."
    only_v2 = hybrid_torrent("x.mkv", b"data", v1=False)
    answer = sonarr.multipart("torrents/add", torrents=upload(only_v2))
    assert answer.status_code == 415
    assert b"BitTorrent v2 only" in answer.content


def test_rubbish_among_files_takes_nothing(sonarr: Caller, release):
    """Nobody could tell what of such a request was done."""
    data = {
        "torrents": [upload(torrent()), upload(b"d4:infodee", "y")],
        "urls": release().magnet,
        "category": "tv",
    }
    answer = sonarr.multipart("torrents/add", **data)
    assert answer.status_code == 415
    assert answer.content == b"Error: 'y' is not a valid torrent file."
    assert not Job.objects.exists()
    assert sonarr.get("torrents/categories").json() == {}


def test_the_same_torrent_as_a_file_and_as_a_magnet_is_one(sonarr: Caller):
    content = torrent()
    magnet = f"magnet:?xt=urn:btih:{v1_of(content).upper()}&dn=Else"
    sonarr.post("torrents/add", urls=magnet)
    assert sonarr.multipart("torrents/add", torrents=upload(content)).content == b"Ok."
    assert [item["name"] for item in sonarr.info()] == ["Else"]


def test_a_link_of_our_indexer_is_read_and_not_fetched(sonarr: Caller, release):
    token = grabs.token(release().magnet, release().infohash)
    for base in (
        "http://anibridge:8000",
        "https://example.org/below/a/path",
        "HTTP://127.0.0.1:9",
    ):
        Job.objects.all().delete()
        link = f"{base}/torznab/grab/{token}"
        assert sonarr.post("torrents/add", urls=link, category="tv").content == b"Ok."
        item = sonarr.one(release().infohash)
        assert (item["name"], item["magnet_uri"]) == (release().name, release().magnet)


def test_links_of_our_indexer_that_cannot_be_read_fail(sonarr: Caller, release, monkeypatch):
    token = grabs.token(release().magnet, release().infohash)
    base = "http://anibridge:8000/torznab/grab"
    with monkeypatch.context() as later:
        later.setattr(grabs, "today", lambda: 10**6)
        assert sonarr.post("torrents/add", urls=f"{base}/{token}").content == b"Fails."
    for text in (token[:-3], "r", "x" * 20_000):
        assert sonarr.post("torrents/add", urls=f"{base}/{text}").content == b"Fails."
    connectivity = Identity("anibridge", "x", 1, 1, "German Dub")
    magnet = magnet_of(connectivity, "Test")
    link = f"{base}/{grabs.token(magnet, connectivity.infohash)}"
    assert sonarr.post("torrents/add", urls=link).content == b"Fails."
    assert not Job.objects.exists()


def test_one_good_link_among_bad_ones_is_enough(sonarr: Caller, release):
    links = f"rubbish\nmagnet:?dn=x\n{release().magnet}\nftp://x/y"
    assert sonarr.post("torrents/add", urls=links).content == b"Ok."
    assert Job.objects.count() == 1


def test_a_release_that_no_site_can_have_fails(sonarr: Caller, site):
    magnet = Release(Identity("demo", "../x", 1, 1, "German Dub"), title="X", group="X").magnet
    assert sonarr.post("torrents/add", urls=magnet).content == b"Fails."


def test_a_link_to_a_video_is_a_download(sonarr: Caller, web: Server):
    link = web.serve("/Some.Film.2020.mkv", b"x", "video/x-matroska")
    assert sonarr.post("torrents/add", urls=link).content == b"Ok."
    job = Job.objects.get()
    assert (job.download_type, job.url, job.name) == ("http", link, "Some.Film.2020")
    dispatching.run()
    assert Job.objects.get().downloader.is_builtin


def test_rename_is_what_the_file_of_a_link_is_called(sonarr: Caller):
    sonarr.post("torrents/add", urls="http://x.example/abc.mkv", rename="Better Name")
    assert Job.objects.get().name == ClientTask.objects.get().name == "Better Name"


def test_a_link_to_a_torrent_file_is_answered_before_anybody_fetches_it(
    sonarr: Caller, web: Server, service: Double
):
    content = torrent()
    link = web.serve("/x.torrent", content, "application/x-bittorrent")
    announce(service, "box")
    assert sonarr.post("torrents/add", urls=link).content == b"Ok."
    assert Job.objects.get().download_type == "torrent"
    assert web.paths == []
    dispatching.run()
    assert bytes(JobTorrent.objects.get().content) == content
    assert Job.objects.get().downloader.name == "box"


@pytest.mark.parametrize("content_type", ["application/x-bittorrent", "text/html"])
def test_an_indexers_link_that_gives_a_torrent_becomes_one(
    sonarr: Caller, web: Server, service: Double, content_type: str
):
    """Its address does not say so: /download?id=7."""
    content = torrent()
    link = web.redirect("/1/download", "/real")
    web.serve("/real", content, content_type)
    announce(service, "box")
    assert sonarr.post("torrents/add", urls=f"{link}?id=7").content == b"Ok."
    dispatching.run()
    job = Job.objects.get()
    assert (job.download_type, job.total_bytes, job.episode) == ("torrent", 5, None)
    assert bytes(job.torrent.content) == content
    assert job.downloader.name == "box"


def test_an_indexers_link_that_leads_to_a_magnet_becomes_it(
    sonarr: Caller, web: Server, service: Double
):
    announce(service, "box")
    sonarr.post("torrents/add", urls=web.redirect("/1/download", FOREIGN, 301))
    dispatching.run()
    job = Job.objects.get()
    assert (job.download_type, job.url) == ("magnet", FOREIGN)
    assert job.downloader.name == "box"


@pytest.mark.parametrize("path", ["/1/download", "/x.torrent"])
def test_a_link_goes_under_the_hash_and_name_of_its_torrent(
    sonarr: Caller, web: Server, service: Double, path: str
):
    """Clients know a torrent by its hash; a real server lists it only when it has it."""
    content = torrent()
    web.serve(path, content, "application/x-bittorrent")
    announce(service, "box")
    sonarr.post("torrents/add", urls=web.url(path), category="tv", tags="a")
    [link] = sonarr.info()
    rid = sonarr.get("sync/maindata").json()["rid"]
    dispatching.run()
    [item] = sonarr.info()
    assert (item["hash"], item["name"]) == (v1_of(content), "Some.Film.mkv")
    assert (item["category"], item["tags"], item["added_on"]) == ("tv", "a", link["added_on"])
    assert "as_torrent" not in Job.objects.get().magnet_metadata
    told = sonarr.get("sync/maindata", rid=rid).json()
    assert told["torrents_removed"] == [link["hash"]]
    assert told["torrents"][v1_of(content)]["name"] == "Some.Film.mkv"


def test_a_link_to_a_magnet_goes_under_its_hash(sonarr: Caller, web: Server, service: Double):
    announce(service, "box")
    sonarr.post("torrents/add", urls=web.redirect("/1/download", FOREIGN), rename="Mine")
    dispatching.run()
    [item] = sonarr.info()
    assert (item["hash"], item["name"]) == (HASH, "Mine")


def test_a_link_to_a_torrent_that_is_there_already_goes(
    sonarr: Caller, web: Server, service: Double
):
    content = torrent()
    web.serve("/x.torrent", content, "application/x-bittorrent")
    announce(service, "box")
    sonarr.multipart("torrents/add", torrents=upload(content), category="tv")
    for _ in range(2):
        sonarr.post("torrents/add", urls=f"{web.url('/x.torrent')}\n{web.url('/x.torrent')}?y")
        dispatching.run()
        [item] = sonarr.info()
        assert (item["hash"], item["category"]) == (v1_of(content), "tv")


def test_a_link_that_a_fetcher_pushed_keeps_its_own_hash(web: Server, service: Double, db: None):
    """Under it the link is known as one that was there before."""
    link = web.serve("/x.torrent", torrent(), "application/x-bittorrent")
    announce(service, "box")
    job, _ = services.enqueue(order_for(link))
    dispatching.run()
    assert Job.objects.get().infohash == job.infohash == order_for(link).infohash


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "video/mp4"}, b"\0\0\0\x18ftypmp42" * 100),
        (200, {}, b"d1:ee and then something else"),
        (404, {}, b""),
        (200, {"Content-Length": str(2**40)}, b""),
    ],
)
def test_a_link_to_anything_else_stays_a_download(sonarr: Caller, web: Server, answer: Any):
    web.routes["/get"] = answer
    sonarr.post("torrents/add", urls=web.url("/get?id=7"))
    dispatching.run()
    job = Job.objects.get()
    assert (job.download_type, job.status) == ("http", "queued")
    assert job.downloader.is_builtin
    assert "perhaps_torrent" not in job.magnet_metadata


def test_a_link_whose_host_does_not_answer_is_looked_at_again_later(sonarr: Caller, web: Server):
    sonarr.post("torrents/add", urls=web.serve("/get", b"", status=503))
    dispatching.run()
    job = Job.objects.get()
    assert (job.download_type, job.downloader, job.deferrals) == ("http", None, 1)
    assert "the link cannot be fetched: 127.0.0.1 answered 503; next try in" in job.error_message


def test_what_calls_itself_a_torrent_and_is_none_fails(sonarr: Caller, web: Server):
    sonarr.post("torrents/add", urls=web.serve("/get", b"<html>", "application/x-bittorrent"))
    dispatching.run()
    [item] = sonarr.info()
    assert item["state"] == "error"
    assert "no .torrent file" in item["comment"]


def test_a_link_inside_the_network_is_guarded(sonarr: Caller, settings: Any):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    sonarr.post("torrents/add", urls="http://127.0.0.1:9/get?id=7")
    dispatching.run()
    [item] = sonarr.info()
    assert item["state"] == "error"
    assert "127.0.0.1" in item["comment"]


def test_too_many_links_in_one_request_are_said_to_be(sonarr: Caller):
    links = "\n".join(f"magnet:?xt=urn:btih:{number:040x}" for number in range(2001))
    answer = sonarr.post("torrents/add", urls=links)
    assert answer.status_code == 400
    assert b"2000 links" in answer.content
    assert not Job.objects.exists()


def test_a_cookie_and_whatever_else_is_sent_is_ignored(sonarr: Caller, release):
    answer = sonarr.multipart(
        "torrents/add", urls=release().magnet, cookie="a=b", nonsense="x", skip_checking="true"
    )
    assert answer.content == b"Ok."


def test_what_is_uploaded_is_bounded(sonarr: Caller):
    answer = sonarr.multipart("torrents/add", torrents=upload(b"d" + b"x" * (16 * 2**20 + 1)))
    assert answer.status_code == 415
