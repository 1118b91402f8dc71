"""The adapter against a 5.1 dialect (AniBridge's own qBittorrent API) and against servers that answer oddly."""

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model

from downloads.downloaders.base import (
    BatchRefused,
    Item,
    LoginRefused,
    NoAnswer,
    NotReached,
    Place,
    State,
)
from downloads.downloaders.qbittorrent import QBittorrent
from downloads.models import Job, JobStatus
from tests.downloads.odd import Odd

S = JobStatus
HASH = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
ITEM = Item("k", f"magnet:?xt=urn:btih:{HASH}&dn=x", "", ids=(HASH,))


@pytest.mark.django_db(transaction=True)
def test_version_5_is_told_to_stop_and_start(live_server, downloads_root):
    get_user_model().objects.create_superuser("admin", password="a long password")
    talk = QBittorrent(Place("5.1", live_server.url, username="admin", secret="a long password"))
    assert talk.health() == "qBittorrent v5.1.0, Web API 2.11.4"
    item = Item("k", ITEM.url, str(downloads_root / "films"), category="films", ids=(HASH,))
    assert talk.submit([item])["k"].remote_id == HASH
    job = Job.objects.get(infohash=HASH)
    assert (job.category, job.save_path) == ("films", str(downloads_root / "films"))
    talk.pause(HASH)
    assert Job.objects.get(pk=job.pk).status == S.PAUSED
    assert talk.status([HASH])[HASH].state is State.PAUSED
    talk.resume(HASH)
    assert Job.objects.get(pk=job.pk).status == S.QUEUED
    assert talk.submit([item])["k"].remote_id == HASH, "a second time is the same"
    assert talk.cancel([HASH]) == {HASH: True}
    assert Job.objects.get(pk=job.pk).removed_at is not None
    assert talk.status([HASH])[HASH].state is State.NOT_FOUND
    talk.close()


@pytest.fixture
def talk(odd: Odd) -> Iterator[QBittorrent]:
    it = QBittorrent(Place("odd", odd.url, username="a", secret="b"))
    yield it
    it.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (500, b"oops", NoAnswer, "a problem of its own"),
        (403, b"Forbidden", LoginRefused, "lets nobody in"),
        (401, b"Unauthorized", LoginRefused, "lets nobody in"),
        (404, b"", NotReached, "refuses the request"),
        (302, b"", NoAnswer, "it redirects"),
        (200, b"<html>hello</html>", NoAnswer, "does not answer as a qBittorrent does"),
        (200, b'{"a": 1}', NoAnswer, "does not answer as a qBittorrent does"),
        (200, b"null", NoAnswer, "does not answer as a qBittorrent does"),
    ],
)
def test_what_a_list_that_is_none_means(
    odd: Odd, talk: QBittorrent, status: int, body: bytes, kind: type, words: str
):
    odd.pages["/api/v2/torrents/info"] = (status, body)
    with pytest.raises(kind, match=words):
        talk.status([HASH])


def test_a_page_that_is_no_qbittorrent_is_said(odd: Odd, talk: QBittorrent):
    odd.pages["/api/v2/app/webapiVersion"] = (200, b"<html>a router</html>")
    with pytest.raises(NoAnswer, match="does not answer as a qBittorrent does"):
        talk.submit([ITEM])


def test_rows_that_make_no_sense_are_passed_over(odd: Odd, talk: QBittorrent):
    row = b'{"hash": "%s", "state": 5, "progress": "x", "size": null, "eta": -1}' % HASH.encode()
    odd.pages["/api/v2/torrents/info"] = (200, b'[null, 5, {}, {"hash": 7}, ' + row + b"]")
    report = talk.status([HASH])[HASH]
    assert (report.state, report.progress, report.size, report.eta) == (
        State.UNKNOWN,
        0.0,
        None,
        None,
    )


def test_taken_but_not_listed_is_left_open(odd: Odd, talk: QBittorrent, monkeypatch):
    """It may be listed in a moment: neither taken nor refused."""
    monkeypatch.setattr("downloads.downloaders.qbittorrent.SETTLE_SECONDS", 0.3)
    assert talk.submit([ITEM]) == {}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"Fails.", "it does not take this"),
        (409, b"torrent is already there", "torrent is already there"),
        (415, b"bad", "no valid torrent"),
    ],
)
def test_refused_and_not_listed_is_a_refusal(
    odd: Odd, talk: QBittorrent, status: int, body: bytes, words: str
):
    odd.pages["/api/v2/torrents/add"] = (status, body)
    assert words in talk.submit([ITEM])["k"].refusal


def test_refused_but_listed_is_there_already(odd: Odd, talk: QBittorrent):
    odd.pages["/api/v2/torrents/add"] = (200, b"Fails.")
    odd.pages["/api/v2/torrents/info"] = (200, b'[{"hash": "%s"}]' % HASH.encode())
    assert talk.submit([ITEM])["k"].remote_id == HASH


def test_gone_in_the_middle_of_a_batch_is_no_answer(odd: Odd, talk: QBittorrent, monkeypatch):
    """The first one may be there: so nobody may take the batch for undelivered."""
    real = QBittorrent._add

    def add(self, item: Item) -> str:
        if item.key == "second":
            raise NotReached("nobody there")
        return real(self, item)

    monkeypatch.setattr(QBittorrent, "_add", add)
    with pytest.raises(NoAnswer, match="in the middle of a batch"):
        talk.submit([ITEM, Item("second", ITEM.url, "", ids=(HASH,))])
    assert issubclass(BatchRefused, NotReached)


def test_a_request_that_fails_is_not_repeated_behind_our_back(odd: Odd, talk: QBittorrent):
    odd.pages["/api/v2/torrents/add"] = (500, b"oops")
    with pytest.raises(NoAnswer):
        talk.submit([ITEM])
    assert odd.asked.count("/api/v2/torrents/add") <= 2
