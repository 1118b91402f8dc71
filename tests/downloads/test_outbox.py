"""Crashes at every point of a hand-over: nothing is lost, nothing is fetched twice."""

from datetime import timedelta

import pytest
from django.utils import timezone

from downloads import contacts, delivery, dispatch, dispatching, handing, outbox, services
from downloads.detection import DownloadType
from downloads.models import Downloader, Errand, ErrandAction, Job, JobStatus
from downloads.orders import order_for
from tests.downloads.dispatched import add, forget_pauses, magnet, now
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S, A = JobStatus, ErrandAction


class Killed(BaseException):
    """The process is gone, in the middle of a line."""


def die(*_: object, **__: object) -> None:
    raise Killed


def run_until_killed() -> None:
    with pytest.raises(Killed):
        dispatching.run()


def killed_after_sending(service: Double, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that the service has been given, and nobody came to write that down."""
    announce(service, "box")
    job = add()
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "accepted", die)
        run_until_killed()
    return job


def later() -> None:
    """The lease of the one that died is over."""
    Errand.objects.update(leased_until=timezone.now() - timedelta(seconds=1))


def test_killed_before_the_intent_nothing_has_happened(service: Double, monkeypatch):
    announce(service, "box")
    job = add()
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "intend", die)
        run_until_killed()
    assert (service.asked, now(job).downloader) == ([], None)
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    assert service.taken() == [magnet(1)]


def test_killed_between_the_intent_and_the_send_it_is_sent_once(service: Double, monkeypatch):
    announce(service, "box")
    job = add()
    with monkeypatch.context() as patched:
        patched.setattr(contacts.ADAPTERS["remote"], "submit", die)
        run_until_killed()
    assert Errand.objects.get().action == A.SUBMIT
    dispatching.run()
    assert service.asked == [], "the lease still holds: it may be under way"
    later()
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    methods = [(method, path) for method, path, _ in service.asked]
    assert methods == [("GET", "/downloads"), ("POST", "/downloads")], "asked first, then sent"
    assert not Errand.objects.exists()


def test_killed_between_the_send_and_the_write_it_is_not_sent_again(service: Double, monkeypatch):
    job = killed_after_sending(service, monkeypatch)
    assert (now(job).status, len(service.have)) == (S.QUEUED, 1)
    later()
    dispatching.run()
    assert (now(job).status, now(job).remote_id) == (S.DOWNLOADING, job.infohash)
    assert len(service.batches()) == 1


def test_killed_while_the_answer_is_read_it_is_not_sent_again(service: Double, monkeypatch):
    announce(service, "box")
    job = add()
    real = contacts.ADAPTERS["remote"].submit

    def sends_and_dies(self, items):
        real(self, items)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(contacts.ADAPTERS["remote"], "submit", sends_and_dies)
        run_until_killed()
    later()
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    assert len(service.batches()) == 1


def test_killed_within_a_batch_each_job_is_settled_by_what_is_there(service: Double, monkeypatch):
    announce(service, "box")
    jobs = [add(n) for n in range(1, 5)]
    real, calls = outbox.accepted, []

    def dies_at_the_third(errand: Errand, remote_id: str, **rest: object) -> bool:
        calls.append(errand)
        if len(calls) == 3:
            raise Killed
        return real(errand, remote_id, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "accepted", dies_at_the_third)
        run_until_killed()
    del service.have[jobs[3].infohash]  # this one did not get there after all
    later()
    dispatching.run()
    assert {now(job).status for job in jobs} == {S.DOWNLOADING}
    assert service.batches() == [[magnet(n) for n in range(1, 5)], [magnet(4)]]


def test_cancelled_while_nobody_knew_what_became_of_it(service: Double, monkeypatch):
    job = killed_after_sending(service, monkeypatch)
    services.cancel(job.pk)
    later()
    dispatching.run()
    assert now(job).status == S.CANCELLED
    delivery.run()
    assert service.have == {}
    assert not Errand.objects.exists()


def test_deleted_and_added_again_while_nobody_knew_what_became_of_it(service: Double, monkeypatch):
    """The new job is one of its own; what the old one left there goes first."""
    job = killed_after_sending(service, monkeypatch)
    services.remove(job.pk, delete_files=True)
    again = add()
    later()
    for _ in range(3):
        dispatching.run()
        delivery.run()
        Job.objects.update(not_before=timezone.now())
    assert now(again).status == S.DOWNLOADING
    assert list(service.have) == [again.infohash]
    assert not Errand.objects.exists()


def test_paused_while_it_was_handed_over_it_is_paused_there_too(service: Double, monkeypatch):
    job = killed_after_sending(service, monkeypatch)
    services.pause(job.pk)
    later()
    dispatching.run()
    assert (now(job).status, now(job).remote_id) == (S.PAUSED, job.infohash)
    delivery.run()
    assert service.have[job.infohash]["status"] == "paused"


def test_a_link_without_a_hash_is_sent_to_the_same_downloader_again(
    service: Double, second: Double, monkeypatch
):
    """It answers as the first time; to another it would be a second download."""
    Downloader.objects.filter(kind="builtin").update(enabled=False)
    announce(service, "cloud", DownloadType.HTTP, priority=60)
    announce(second, "other", DownloadType.HTTP, priority=70)
    Downloader.objects.filter(name="other").update(enabled=False)
    job = services.enqueue(order_for("https://files.example/film.mp4"))[0]
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "accepted", die)
        run_until_killed()
    Downloader.objects.filter(name="other").update(enabled=True)
    later()
    dispatching.run()
    assert (now(job).status, now(job).downloader.name) == (S.DOWNLOADING, "cloud")
    assert (len(service.have), second.asked) == (1, [])


def test_who_was_too_slow_takes_back_what_he_sent(service: Double):
    """His lease was over, the job went elsewhere; what he put there must not be fetched as well."""
    downloader = announce(service, "slow")
    job = add()
    slow = outbox.intend([job], downloader, {job.pk: job.infohash})[0]
    later()
    faster = Errand.objects.get()
    assert outbox.lease(faster)
    assert outbox.released(faster)  # it was not there at that moment
    service.have[job.infohash] = {"status": "downloading"}
    assert not outbox.accepted(slow, job.infohash)
    assert now(job).status == S.QUEUED
    delivery.run()
    assert service.have == {}


def test_only_one_of_two_carries_an_errand(service: Double):
    downloader = announce(service, "box")
    outbox.intend([add()], downloader, {})
    later()
    first, second = Errand.objects.get(), Errand.objects.get()
    assert outbox.lease(first)
    assert not outbox.lease(second)
    assert not outbox.done(second)
    assert outbox.done(first)


def test_a_cancel_that_cannot_be_delivered_is_repeated(service: Double):
    downloader = announce(service, "box")
    job = add()
    dispatching.run()
    Downloader.objects.filter(pk=downloader.pk).update(base_url="http://127.0.0.1:9")
    services.cancel(job.pk)
    assert now(job).status == S.CANCELLED
    assert delivery.run() == 0
    assert list(service.have) == [job.infohash]
    Downloader.objects.filter(pk=downloader.pk).update(base_url=service.url)
    forget_pauses()
    assert delivery.run() == 1
    assert service.have == {}
    assert delivery.run() == 0
    assert service.commands() == ["POST /downloads/cancel"]


def test_a_cancel_that_is_answered_with_an_error_is_repeated_and_not_for_ever(
    service: Double, monkeypatch
):
    monkeypatch.setattr(delivery, "MOST_ANSWERED", 3)
    announce(service, "box")
    job = add()
    dispatching.run()
    service.command_reply = 500
    services.cancel(job.pk)
    for _ in range(5):
        delivery.run()
        forget_pauses()
    assert service.commands() == ["POST /downloads/cancel"] * 3
    assert not Errand.objects.exists()


def test_pause_and_resume_are_told_in_order_and_only_the_last_word(service: Double):
    announce(service, "box")
    job = add()
    dispatching.run()
    services.pause(job.pk)
    services.resume(job.pk)
    services.pause(job.pk)
    delivery.run()
    assert service.commands() == [f"POST /downloads/{job.infohash}/pause"]
    services.resume(job.pk)
    delivery.run()
    assert service.have[job.infohash]["status"] == "downloading"


def test_what_is_on_its_way_is_not_overtaken(service: Double):
    announce(service, "box")
    job = add()
    dispatching.run()
    services.pause(job.pk)
    assert outbox.lease(Errand.objects.get())  # somebody is saying it right now
    services.resume(job.pk)
    assert delivery.run() == 0
    assert service.commands() == []
    later()
    assert delivery.run() == 1
    assert delivery.run() == 1
    assert [one.rsplit("/", 1)[1] for one in service.commands()] == ["pause", "resume"]


@pytest.mark.parametrize("with_files", [True, False])
def test_deleting_a_finished_job_says_whether_its_files_go(service: Double, with_files: bool):
    announce(service, "box")
    job = add()
    dispatching.run()
    Job.objects.filter(pk=job.pk).update(status=S.COMPLETED)
    services.remove(job.pk, delete_files=with_files)
    delivery.run()
    assert service.commands() == [f"DELETE /downloads/{job.infohash}"]


def test_a_retry_has_the_old_download_dropped_and_hands_it_over_again(service: Double):
    announce(service, "box")
    job = add()
    dispatching.run()
    services.cancel(job.pk)
    delivery.run()
    services.retry(job.pk)
    job = now(job)
    assert (job.status, job.downloader, job.remote_id) == (S.QUEUED, None, "")
    for _ in range(2):
        delivery.run()
        dispatching.run()
        Job.objects.update(not_before=timezone.now())
    assert now(job).status == S.DOWNLOADING
    assert len(service.batches()) == 2


def test_two_jobs_that_are_the_same_torrent_do_not_cancel_each_other(service: Double):
    announce(service, "box")
    one, other = add(1), add(2)
    dispatching.run()
    Job.objects.filter(pk=other.pk).update(remote_id=one.infohash)
    services.cancel(one.pk)
    assert not Errand.objects.exists()
    services.cancel(other.pk)
    assert Errand.objects.get().remote_id == one.infohash


def test_deleting_a_downloader_drops_what_it_was_yet_to_be_told(service: Double):
    downloader = announce(service, "box")
    job = add()
    dispatching.run()
    services.cancel(job.pk)
    downloader.delete()
    assert not Errand.objects.exists()
    assert now(job).status == S.CANCELLED


def test_a_thousand_links_in_one_transaction_wake_the_dispatcher_once(
    django_capture_on_commit_callbacks,
):
    with django_capture_on_commit_callbacks() as callbacks:
        for number in range(1, 20):
            add(number)
    assert len(callbacks) == 1


def test_resolving_gives_up_nobody_while_no_other_can_take_it(service: Double):
    announce(service, "only")
    service.reply, service.status_reply = (lambda items: (500, {})), (500, {})
    job = add()
    for _ in range(handing.GIVE_UP_ASKING + 3):
        dispatching.run()
        forget_pauses()
    assert (now(job).status, now(job).downloader.name) == (S.QUEUED, "only")
    assert len(service.batches()) == 1


def test_a_delivery_that_got_somewhere_wakes_the_next_one_while_something_is_left(
    service: Double, monkeypatch: pytest.MonkeyPatch
):
    announce(service, "box")
    job = add()
    dispatching.run()
    services.pause(job.pk)
    services.set_rate_limit([job.pk], 1000)
    woken: list[bool] = []
    monkeypatch.setattr(dispatch, "nudge_delivery", lambda: woken.append(True))
    counts = []
    for _ in range(3):
        delivery.run()
        counts.append(len(woken))
    assert counts == [1, 1, 1]
