"""Every way in which a file server can fail, through the real engine: a job, a socket, a disk."""

import threading
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from anibridge.lib import transfer
from downloads import files, runner, services, transitions
from downloads.models import Job, JobStatus
from tests.downloads.carrying import carry, link_job
from tests.faults import server
from tests.faults.server import FaultServer, File, in_turn, status

S = JobStatus


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def assert_arrived(job: Job, body: bytes) -> None:
    assert job.status == S.COMPLETED, job.error_message
    assert Path(job.result_path).read_bytes() == body


def serve(faults: FaultServer, route: server.Route, path: str = "/Film.2010.1080p.mp4") -> Job:
    return link_job(faults.serve(path, route))


def test_a_file_arrives_with_its_size_and_name(engine, faults, video):
    job = carry(serve(faults, File(video)))
    assert_arrived(job, video)
    assert job.result_path == str(engine / "Film.2010.1080p.mp4")
    assert (job.progress, job.total_bytes, job.error_message) == (1.0, len(video), "")
    assert job.files.get().size_bytes == len(video)
    assert job.host == "127.0.0.1"
    assert below(engine) == ["Film.2010.1080p.mp4"]
    assert faults.asked[0].headers["accept-encoding"] == "identity"


def test_a_connection_that_drops_goes_on_from_its_bytes(engine, faults, video):
    broken, whole = File(video, after=100_000), File(video)
    assert_arrived(carry(serve(faults, in_turn(broken, broken, whole))), video)
    assert faults.ranges("/Film.2010.1080p.mp4") == [None, "bytes=100000-", "bytes=200000-"]
    assert [one.headers.get("if-range") for one in faults.asked] == [None, '"one"', '"one"']


def test_a_server_that_drops_again_and_again_still_gives_the_file(engine, faults, video, settings):
    settings.DOWNLOAD_RETRIES = 2
    assert_arrived(carry(serve(faults, File(video, after=60_000))), video)
    assert len(faults.asked) > 5


def test_dropping_before_anything_new_came_ends_the_attempts(engine, faults, video):
    waiting = carry(serve(faults, File(video, after=0)))
    assert waiting.status == S.QUEUED
    assert "next try in 10 s" in waiting.error_message
    assert len(faults.asked) == 4


def test_a_last_modified_date_is_a_validator_too(engine, faults, video):
    date = server.moment(-3600)
    broken = File(video, etag="", modified=date, after=100_000)
    assert_arrived(
        carry(serve(faults, in_turn(broken, File(video, etag="", modified=date)))), video
    )
    assert faults.asked[1].headers["if-range"] == date


def test_without_any_validator_the_last_bytes_are_compared(engine, faults, video):
    broken = File(video, etag="", after=100_000)
    assert_arrived(carry(serve(faults, in_turn(broken, File(video, etag="")))), video)
    assert faults.ranges("/Film.2010.1080p.mp4")[1] == f"bytes={100_000 - transfer.OVERLAP}-"


def test_without_any_validator_another_file_of_the_same_size_is_noticed(engine, faults, video):
    other = bytes(len(video) - 8)
    lying = File(video[:4] + other + video[-4:], etag="", after=100_000)
    assert_arrived(carry(serve(faults, in_turn(lying, File(video, etag="")))), video)
    assert faults.ranges("/Film.2010.1080p.mp4")[-1] is None


def test_a_weak_etag_is_not_sent_but_noticed_when_it_changes(engine, faults, video):
    old = File(b"\0" * 4 + video[4:], etag='W/"a"', after=100_000)
    assert_arrived(carry(serve(faults, in_turn(old, File(video, etag='W/"b"')))), video)
    assert all("if-range" not in one.headers for one in faults.asked)


def test_a_file_that_changes_in_between_starts_over(engine, faults, video):
    old = File(b"\0\0\0\x20ftypisom" + bytes(300_000), etag='"old"', after=150_000)
    assert_arrived(carry(serve(faults, in_turn(old, File(video, etag='"new"')))), video)
    # If-Range made the server send all of the new file at once.
    assert faults.ranges("/Film.2010.1080p.mp4") == [None, "bytes=150000-"]


def test_a_changed_file_of_a_server_that_ignores_if_range_starts_over(engine, faults, video):
    old = File(b"\0\0\0\x20ftypisom" + bytes(300_000), etag='"old"', after=150_000)

    def careless(request: server.Request) -> None:
        request.headers.pop("if-range", None)
        File(video, etag='"new"')(request)

    assert_arrived(carry(serve(faults, in_turn(old, careless))), video)
    assert faults.ranges("/Film.2010.1080p.mp4") == [None, "bytes=150000-", None]


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(engine, faults, video):
    broken = File(video, ranges=False, after=100_000)
    assert_arrived(carry(serve(faults, in_turn(broken, File(video, ranges=False)))), video)


def test_a_wrong_content_range_is_not_joined(engine, faults, video):
    def shifted(request: server.Request) -> None:
        request.head(
            206, {"Content-Range": f"bytes 7-{len(video) - 1}/{len(video)}", "ETag": '"one"'}
        )
        request.send(video[7:])

    assert_arrived(
        carry(serve(faults, in_turn(File(video, after=100_000), shifted, File(video)))), video
    )
    assert faults.ranges("/Film.2010.1080p.mp4") == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Content-Range": "bytes 100000-"},
        {"Content-Range": "bytes */5"},
        {"Content-Range": "bytes 100000-99999/300000"},
        {"Content-Range": "bytes 100000-400000/300000"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
    ],
)
def test_a_part_that_does_not_say_what_it_is_of_is_not_joined(engine, faults, video, said):
    def odd(request: server.Request) -> None:
        request.head(206, {"ETag": '"one"', **said})
        request.send(b"x" * 1000)

    assert_arrived(
        carry(serve(faults, in_turn(File(video, after=100_000), odd, File(video)))), video
    )


def test_more_than_a_part_announced_is_not_joined(engine, faults, video):
    def generous(request: server.Request) -> None:
        request.head(206, {"Content-Range": f"bytes 100000-100999/{len(video)}", "ETag": '"one"'})
        request.send(b"x" * 5000)

    assert_arrived(
        carry(serve(faults, in_turn(File(video, after=100_000), generous, File(video)))), video
    )


def test_parts_that_are_smaller_than_asked_for_are_put_together(engine, faults, video):
    def piecewise(request: server.Request) -> None:
        start = request.start or 0
        part = video[start : start + 90_000]
        said = f"bytes {start}-{start + len(part) - 1}/{len(video)}"
        headers = {"Content-Range": said, "ETag": '"one"', "Content-Length": str(len(part))}
        request.head(206, headers)
        request.send(part)

    assert_arrived(carry(serve(faults, in_turn(File(video, after=100_000), piecewise))), video)


def test_a_complete_file_that_a_416_confirms_is_finished(engine, faults, video):
    # Its length was never said, so only the answer to the request for more shows that there is no more.
    job = serve(faults, in_turn(server.chunked(video, ends=False), File(video, etag="")))
    assert_arrived(carry(job), video)


def test_a_416_for_a_longer_file_starts_over(engine, faults, video):
    old = File(video + b"\0" * 1000, etag="", after=len(video) + 500)
    assert_arrived(carry(serve(faults, in_turn(old, status(416), File(video)))), video)


def test_a_416_for_everything_fails_at_once(engine, faults):
    job = carry(serve(faults, status(416)))
    assert (job.status, len(faults.asked)) == (S.FAILED, 1)
    assert "416" in job.error_message


def test_an_unknown_length_is_fine(engine, faults, video):
    assert_arrived(carry(serve(faults, server.chunked(video), "/a.mp4")), video)
    assert_arrived(carry(serve(faults, server.until_closed(video), "/b.mp4")), video)


def test_a_length_beside_chunks_says_nothing(engine, faults, video):
    def both(request: server.Request) -> None:
        request.head(200, {"Transfer-Encoding": "chunked", "Content-Length": "7"})
        request.send(f"{len(video):x}\r\n".encode() + video + b"\r\n0\r\n\r\n")

    assert_arrived(carry(serve(faults, both)), video)


def test_chunks_that_end_too_early_are_no_file(engine, faults, video):
    job = carry(serve(faults, server.chunked(video[: len(video) // 2], ends=False)))
    assert job.status == S.QUEUED
    assert "broke the connection off" in job.error_message


def test_a_connection_that_closes_early_without_a_length_is_no_video(engine, faults, video):
    job = carry(serve(faults, server.until_closed(video[: len(video) // 2])))
    assert job.status == S.FAILED
    assert below(engine) == []


def test_a_length_that_is_too_long_is_not_believed_for_ever(engine, faults, video):
    def boastful(request: server.Request) -> None:
        request.head(200, {"Content-Length": str(len(video) + 1000), "Content-Type": "video/mp4"})
        request.send(video)

    job = carry(serve(faults, boastful))
    assert job.status == S.QUEUED
    assert "broke" in job.error_message
    assert len(faults.asked) == 5, "four that brought nothing new"


def test_a_length_that_is_too_short_makes_no_video(engine, faults, video):
    def modest(request: server.Request) -> None:
        request.head(200, {"Content-Length": str(len(video) // 2), "Content-Type": "video/mp4"})
        request.send(video)

    job = carry(serve(faults, modest))
    assert job.status == S.FAILED
    assert "ends before" in job.error_message or "no video" in job.error_message
    assert below(engine) == []


def test_a_server_that_stops_sending_is_left_and_asked_again(engine, faults, video):
    job = serve(faults, in_turn(server.stalls(File(video), 120_000), File(video)))
    assert_arrived(carry(job), video)
    assert faults.ranges("/Film.2010.1080p.mp4") == [None, "bytes=120000-"]


def test_a_server_that_drips_has_stopped_as_well(engine, faults, video, settings):
    settings.DOWNLOAD_RETRIES = 0
    job = carry(serve(faults, server.drips(File(video))))
    assert job.status == S.QUEUED
    assert "almost stopped sending" in job.error_message


def test_a_server_that_never_answers_times_out(engine, faults, settings):
    settings.DOWNLOAD_RETRIES = 0
    job = carry(serve(faults, lambda request: request.until_left()))
    assert job.status == S.QUEUED
    assert "did not answer in time" in job.error_message


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(engine, faults, video, code):
    job = serve(faults, in_turn(status(code, Retry_After="120"), File(video)))
    waiting = carry(job)
    assert waiting.status == S.QUEUED
    assert "next try in 120 s" in waiting.error_message
    assert len(faults.asked) == 1, "no worker waits for it"
    assert 100 < (waiting.not_before - timezone.now()).total_seconds() <= 120
    Job.objects.update(not_before=timezone.now())
    assert_arrived(carry(job), video)


def test_patience_may_be_asked_for_until_a_date(engine, faults):
    waiting = carry(serve(faults, status(429, Retry_After=server.moment(300))))
    assert 280 < (waiting.not_before - timezone.now()).total_seconds() <= 301


@pytest.mark.parametrize("said", ["soon", "-5", "", "99999999999999"])
def test_a_nonsensical_retry_after_is_no_reason_to_wait_for_ever(engine, faults, said):
    waiting = carry(serve(faults, status(429, Retry_After=said)))
    assert waiting.status == S.QUEUED
    assert (waiting.not_before - timezone.now()).total_seconds() <= 10


def test_a_busy_server_without_a_time_is_asked_again_by_itself(engine, faults, video):
    assert_arrived(carry(serve(faults, in_turn(status(503), status(502), File(video)))), video)
    waiting = carry(serve(faults, status(429), "/other.mp4"))
    assert "next try in 10 s" in waiting.error_message


def test_patience_is_not_endless(engine, faults, monkeypatch):
    monkeypatch.setattr(runner, "MAX_WAITS", 2)
    job = serve(faults, status(429, Retry_After="1"))
    for _ in range(2):
        assert carry(job).status == S.QUEUED
        Job.objects.update(not_before=timezone.now())
    assert carry(job).status == S.FAILED


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451, 501])
def test_what_is_final_fails_at_once_with_words(engine, faults, code):
    job = carry(serve(faults, status(code, b"<html>no</html>")))
    assert (job.status, len(faults.asked)) == (S.FAILED, 1)
    assert f"HTTP status {code}" in job.error_message
    assert "127.0.0.1" in job.error_message


@pytest.mark.parametrize("code", [204, 205, 300, 304])
def test_an_answer_without_a_file_fails_at_once(engine, faults, code):
    job = carry(serve(faults, status(code)))
    assert (job.status, len(faults.asked)) == (S.FAILED, 1)


@pytest.mark.parametrize("code", [500, 502, 504])
def test_a_server_error_is_tried_again_and_then_put_off(engine, faults, code):
    waiting = carry(serve(faults, status(code)))
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 1)
    assert len(faults.asked) == 4


def test_what_never_works_fails_in_the_end(engine, faults):
    job = serve(faults, status(500))
    for pause in runner.DEFER_SECONDS:
        assert f"next try in {pause:.0f} s" in carry(job).error_message
        Job.objects.update(not_before=timezone.now())
    assert carry(job).status == S.FAILED


def test_a_redirect_is_followed(engine, faults, video):
    faults.serve("/real.mp4", File(video))
    assert_arrived(carry(serve(faults, status(302, Location="/real.mp4"))), video)


def test_a_redirect_to_a_private_address_is_refused(engine, faults, other_faults):
    job = carry(serve(faults, status(302, Location=other_faults.url("/secret"))))
    assert job.status == S.FAILED
    assert "OUTBOUND_ALLOWED_PRIVATE_HOSTS" in job.error_message
    assert other_faults.asked == []


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"])
def test_a_redirect_to_another_scheme_is_refused(engine, faults, to):
    assert carry(serve(faults, status(302, Location=to))).status == S.FAILED


def test_a_redirect_loop_ends(engine, faults):
    faults.serve("/b", status(302, Location="/Film.2010.1080p.mp4"))
    job = carry(serve(faults, status(302, Location="/b")))
    assert (job.status, job.error_message) == (S.FAILED, "127.0.0.1 redirects in circles")


def test_an_endless_body_meets_a_limit(engine, faults, video, settings):
    settings.DOWNLOAD_MAX_BYTES = 3_000_000
    job = carry(serve(faults, server.endless(video)))
    assert job.status == S.FAILED
    assert "larger than 3000000 bytes" in job.error_message


def test_an_announced_size_above_the_limit_is_not_even_begun(engine, faults, settings):
    settings.DOWNLOAD_MAX_BYTES = 1000
    job = carry(serve(faults, server.endless(Content_Length="5000")))
    assert "larger than 1000 bytes" in job.error_message
    assert below(engine) == []


def test_a_failed_download_keeps_its_bytes_for_a_retry(engine, faults, video, settings):
    settings.DOWNLOAD_RETRIES = 0
    job = serve(faults, in_turn(File(video, after=100_000), status(404), File(video)))
    assert carry(job).status == S.QUEUED
    Job.objects.update(not_before=timezone.now())
    assert carry(job).status == S.FAILED
    transitions.start_over(job.pk, reason="retry")
    Job.objects.update(downloader=job.downloader)
    assert_arrived(carry(job), video)
    assert faults.ranges("/Film.2010.1080p.mp4")[-1] == "bytes=100000-"


def test_a_worker_that_died_after_the_last_byte_needs_no_network(engine, faults, video):
    job = serve(faults, File(video))
    partial = files.partial_folder(job.pk) / "file.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(video)
    notes = f'{{"etag": "\\"one\\"", "modified": "", "total": {len(video)}, "name": "x.mp4", "content_type": "video/mp4"}}'
    transfer.notes_of(partial).write_text(notes)
    assert_arrived(carry(job), video)
    assert faults.asked == []


@pytest.mark.parametrize("notes", ["", "{", "[]", '{"total": -1}', '{"total": "x"}', "null"])
def test_bytes_without_proper_notes_are_not_trusted(engine, faults, video, notes):
    job = serve(faults, File(video))
    partial = files.partial_folder(job.pk) / "file.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"garbage" * 1000)
    transfer.notes_of(partial).write_text(notes)
    assert_arrived(carry(job), video)
    assert faults.ranges("/Film.2010.1080p.mp4") == [None]


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(
    engine, faults, video, tmp_path
):
    job = serve(faults, File(video))
    precious = tmp_path / "precious"
    partial = files.partial_folder(job.pk) / "file.part"
    partial.parent.mkdir(parents=True)
    partial.symlink_to(precious)
    carry(job)
    assert not precious.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["pause", "cancel", "remove"])
def test_a_running_download_is_stopped_from_outside(engine, faults, video, what):
    job = serve(faults, File(video, rate=40_000))
    thread = threading.Thread(target=_in_thread, args=(job,))
    thread.start()
    _until_bytes_come(job)
    if what == "remove":
        services.remove(job.pk, delete_files=True)
    else:
        getattr(services, what)(job.pk)
    thread.join(30)
    assert not thread.is_alive(), "the download went on"
    after = Job.objects.get(pk=job.pk)
    if what == "pause":
        kept = files.partial_folder(job.pk) / "file.part"
        assert (after.status, kept.stat().st_size > 0) == (S.PAUSED, True)
        services.resume(job.pk)
        faults.serve("/Film.2010.1080p.mp4", File(video))
        assert_arrived(carry(job), video)
        assert faults.ranges("/Film.2010.1080p.mp4")[-1] is not None
    else:
        assert below(engine) == []


def _in_thread(job: Job) -> None:
    try:
        carry(job)
    finally:
        connection.close()


def _until_bytes_come(job: Job) -> None:
    ticks = threading.Event()
    for _ in range(300):
        if Job.objects.get(pk=job.pk).downloaded_bytes:
            return
        ticks.wait(0.1)
    raise AssertionError("no progress was written")
