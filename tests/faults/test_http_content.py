"""What a server sends is a file, the right one, and gets the right name; through the real engine."""

import hashlib
from pathlib import Path

import pytest

from downloads.models import Job, JobStatus
from tests.downloads.carrying import carry, link_job
from tests.faults import server
from tests.faults.server import FaultServer, File, status

S = JobStatus


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def arrived(job: Job, body: bytes) -> None:
    assert job.status == S.COMPLETED, job.error_message
    assert Path(job.result_path).read_bytes() == body


def serve(faults: FaultServer, route: server.Route, path: str = "/Film.2010.1080p.mp4") -> Job:
    return link_job(faults.serve(path, route))


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP"])
def test_a_compressed_body_is_refused(engine, faults, encoding):
    job = carry(serve(faults, status(200, b"\x1f\x8b" * 500, Content_Encoding=encoding)))
    assert (job.status, len(faults.asked)) == (S.FAILED, 1)
    assert "compressed" in job.error_message


PAGE = b"<!DOCTYPE html><html><body>This file is gone</body></html>"


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (PAGE, "text/html", "a web page"),
        (PAGE, "video/mp4", "a web page"),
        (b"\xef\xbb\xbf  <!-- x -->" + PAGE, "application/octet-stream", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "video/mp4", "XML"),
        (b'{"error": "quota"}', "application/json", "JSON"),
        (b"Link expired, please log in again", "video/mp4", "a text"),
        (b"x", "text/html; charset=utf-8", "a web page"),
    ],
)
def test_an_error_page_with_status_200_never_becomes_a_video(engine, faults, body, kind, told):
    job = carry(serve(faults, status(200, body, Content_Type=kind)))
    assert (job.status, len(faults.asked)) == (S.FAILED, 1)
    assert told in job.error_message
    assert below(engine) == []


@pytest.mark.parametrize("body", [b"", b"\0" * 5000, b"\0\0\0\x20ftypisom" + b"\7" * 5000])
def test_bytes_that_are_no_video_never_become_one(engine, faults, body):
    job = carry(serve(faults, status(200, body, Content_Type="video/mp4")))
    assert job.status == S.FAILED
    assert below(engine) == []


def test_a_large_page_is_refused_before_it_is_stored(engine, faults):
    job = carry(serve(faults, server.endless(PAGE)))
    assert job.status == S.FAILED
    assert below(engine) == []


def test_a_checksum_is_checked(engine, faults, video):
    digest = hashlib.sha256(video).hexdigest()
    url = faults.serve("/a.mp4", File(video))
    arrived(carry(link_job(url, checksum=f"sha256:{digest.upper()}")), video)
    wrong = carry(link_job(f"{url}?2", checksum="md5:" + "0" * 32))
    assert wrong.status == S.FAILED


def test_a_wrong_checksum_is_told_and_nothing_of_it_is_kept(engine, faults, video):
    url = faults.serve("/a.mp4", File(video))
    job = carry(link_job(url, checksum="md5:" + "0" * 32))
    assert job.status == S.FAILED
    assert "the md5 of what 127.0.0.1 sent is" in job.error_message
    assert below(engine) == []


def test_a_checksum_that_cannot_be_checked_fails_before_anything_is_fetched(engine, faults):
    job = carry(link_job(faults.url("/a.mp4"), checksum="crc32:1234"))
    assert job.status == S.FAILED
    assert faults.asked == []


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/x/Some.Film.2010.mkv", {}, "Some.Film.2010.mp4"),
        ("/get?id=7", {"Content_Disposition": 'attachment; filename="A b.mp4"'}, "A b.mp4"),
        (
            "/get?id=8",
            {"Content_Disposition": "attachment; filename*=UTF-8''F%C3%BCr.mp4"},
            "Für.mp4",
        ),
        ("/get?id=9", {"Content_Disposition": 'attachment; filename="../../etc/x.mp4"'}, "x.mp4"),
        ("/get", {"Content_Type": "video/webm"}, "get.mp4"),
        ("/v/Film.2010", {}, "Film.2010.mp4"),
    ],
)
def test_the_name_comes_from_the_server_or_the_address(engine, faults, video, path, headers, name):
    faults.serve(
        path, status(200, video, **{"Content_Type": "application/octet-stream", **headers})
    )
    job = carry(link_job(faults.url(path)))
    arrived(job, video)
    assert Path(job.result_path).name == name


def test_a_name_that_somebody_gave_is_kept(engine, faults, video):
    disposition = 'attachment; filename="other.mp4"'
    url = faults.serve("/a.mp4", status(200, video, Content_Disposition=disposition))
    job = carry(link_job(url, name="Show.S01E02.German.1080p.WEB.H264-GRP", category="tv"))
    assert job.result_path == str(engine / "tv" / "Show.S01E02.German.1080p.WEB.H264-GRP.mp4")


def test_subtitles_are_a_text_that_is_wanted(engine, faults):
    text = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"
    job = carry(serve(faults, status(200, text, Content_Type="text/plain"), "/a.srt"))
    arrived(job, text)
    assert Path(job.result_path).name == "a.srt"


def test_a_page_is_refused_also_where_a_text_is_wanted(engine, faults):
    job = carry(serve(faults, status(200, PAGE, Content_Type="text/plain"), "/a.srt"))
    assert job.status == S.FAILED
