"""Batches, the cascade, and what becomes of links that nobody takes – against services on loopback."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from downloads import contacts, dispatching, outbox, services, transitions
from downloads.detection import DownloadType
from downloads.models import Downloader, Errand, ErrandAction, Job, JobStatus
from downloads.orders import order_for
from tests.downloads.dispatched import add, dead, forget_pauses, magnet, now
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus


def test_links_go_in_one_batch_to_the_most_preferred_downloader(service: Double, second: Double):
    announce(second, "less", priority=10)
    announce(service, "more", priority=60)
    jobs = [add(n) for n in range(1, 4)]
    tally = dispatching.run()
    assert sorted(tally.given) == [job.pk for job in jobs]
    assert service.batches() == [[magnet(1), magnet(2), magnet(3)]]
    assert second.asked == []
    job = now(jobs[0])
    assert (job.status, job.downloader.name, job.remote_id) == (S.DOWNLOADING, "more", job.infohash)
    assert [event.reason for event in job.events.all()] == ["", "more took it"]
    assert not Errand.objects.exists()


def test_the_folder_of_the_job_is_sent_with_the_link(service: Double, downloads_root):
    announce(service, "box")
    add(category="films")
    dispatching.run()
    item = service.asked[0][2]["items"][0]
    assert item == {"url": magnet(1), "save_path": str(downloads_root / "films")}


def test_what_one_downloader_rejects_goes_to_the_next(service: Double, second: Double):
    announce(service, "picky", priority=60)
    announce(second, "easy", priority=10)
    service.reply = lambda items: (
        200,
        {
            "results": [
                {"url": items[0]["url"], "hash": None, "status": "rejected", "reason": "too big"},
                {"url": items[1]["url"], "hash": f"{2:040x}", "status": "accepted", "reason": None},
            ]
        },
    )
    one, two = add(1), add(2)
    dispatching.run()
    assert (now(one).downloader.name, now(two).downloader.name) == ("easy", "picky")
    assert now(one).refusals == {"picky": "too big"}
    assert second.taken() == [magnet(1)]


def test_results_are_matched_by_link_and_not_by_position(service: Double):
    announce(service, "box")
    service.reply = lambda items: (
        200,
        {
            "results": [
                {
                    "url": "magnet:?xt=urn:btih:ff&dn=never.asked",
                    "hash": "ff",
                    "status": "accepted",
                },
                {"url": magnet(3), "hash": "c" * 40, "status": "accepted"},
                {"url": magnet(1), "hash": "a" * 40, "status": "accepted"},
                {"url": magnet(2), "hash": None, "status": "rejected", "reason": "no"},
            ]
        },
    )
    one, two, three = add(1), add(2), add(3)
    dispatching.run()
    assert now(one).remote_id == "a" * 40
    assert now(three).remote_id == "c" * 40
    assert (now(two).status, now(two).error_message) == (S.FAILED, "box: no")


def test_a_link_without_a_result_is_asked_about_and_not_lost(service: Double, second: Double):
    """A short list of results: what the service has counts, what it has not goes on."""
    announce(service, "short", priority=60)
    announce(second, "next", priority=10)
    service.have[f"{2:040x}"] = {"status": "downloading", "progress": 0.1, "size": 10}
    service.reply = lambda items: (200, {"results": []})
    one, two = add(1), add(2)
    dispatching.run()
    assert now(two).downloader.name == "short"
    assert now(one).downloader.name == "next"
    assert {now(one).status, now(two).status} == {S.DOWNLOADING}


def test_a_link_that_a_service_has_already_is_no_refusal(service: Double, second: Double):
    announce(service, "knows", priority=60)
    announce(second, "next", priority=10)
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": f"{1:040X}", "status": "completed"}]},
    )
    job = add(1)
    dispatching.run()
    assert now(job).downloader.name == "knows"
    assert now(job).remote_id == f"{1:040X}", "in the service's own spelling"
    assert second.asked == []


def test_accepted_without_a_hash_is_followed_by_the_one_that_we_know(service: Double):
    announce(service, "shy")
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": None, "status": "accepted"}]},
    )
    base32 = "magnet:?xt=urn:btih:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB&dn=x"
    job = services.enqueue(order_for(base32))[0]
    dispatching.run()
    assert now(job).remote_id == job.infohash == f"{1:040x}"


def test_accepted_without_any_hash_is_a_refusal_with_words(service: Double):
    announce(service, "shy", DownloadType.HTTP, priority=200)
    Downloader.objects.filter(kind="builtin").update(enabled=False)
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": None, "status": "accepted"}]},
    )
    job = services.enqueue(order_for("https://files.example/film.mp4"))[0]
    dispatching.run()
    assert now(job).status == S.FAILED
    assert "shy: it took the link but gave no hash" in now(job).error_message


def test_a_downloader_that_is_not_there_is_passed_by(service: Double):
    announce(dead(), "gone", priority=60)
    announce(service, "here", priority=10)
    job = add(1)
    dispatching.run()
    assert now(job).downloader.name == "here"
    gone = Downloader.objects.get(name="gone")
    assert gone.is_backing_off(timezone.now())
    assert "cannot be reached" in gone.last_error
    assert not Errand.objects.exists()


def test_when_nobody_answers_the_job_says_so_and_comes_back_by_itself(service: Double):
    downloader = announce(dead(), "away")
    job = add(1)
    dispatching.run()
    assert now(job).status == S.DOWNLOADER_ERROR
    assert now(job).error_message.startswith("away: 127.0.0.1 cannot be reached")
    dispatching.run()
    assert now(job).status == S.DOWNLOADER_ERROR, "nothing new for a while"
    Downloader.objects.filter(pk=downloader.pk).update(base_url=service.url)
    forget_pauses()
    dispatching.run()
    assert (now(job).status, now(job).error_message) == (S.DOWNLOADING, "")
    assert [path for _, path, _ in service.asked] == ["/health", "/downloads"], "health comes first"


def test_a_pause_grows_with_each_failure_and_ends_with_success(service: Double):
    downloader = announce(dead(), "away")
    pauses = []
    for _ in range(3):
        contacts.note_setback(downloader, ConnectionError("no"))
        pauses.append((downloader.back_off_until - downloader.last_error_at).total_seconds())
    assert pauses == [15, 60, 300]
    contacts.note_success(downloader)
    downloader.refresh_from_db()
    assert (downloader.back_off_until, downloader.setbacks) == (None, 2)


def test_a_job_is_not_offered_for_ever(service: Double):
    """A service in the best of health that fails with every batch."""
    announce(service, "broken")
    service.reply = lambda items: (500, {"results": []})
    job = add(1)
    for _ in range(dispatching.MAX_DEFERRALS + 3):
        dispatching.run()
        forget_pauses()
    assert now(job).status == S.FAILED
    assert "given up after 13 tries" in now(job).error_message
    assert len(service.batches()) == dispatching.MAX_DEFERRALS + 1


def test_without_a_downloader_for_the_type_the_job_waits_for_one(service: Double):
    job = add(1)
    tally = dispatching.run()
    assert tally.left == [job.pk]
    assert now(job).status == S.NO_DOWNLOADER
    assert "no downloader takes magnet links" in now(job).error_message
    dispatching.run()
    assert job.events.count() == 2, "looking again changes nothing"
    announce(service, "late")
    dispatching.run()
    assert (now(job).status, now(job).downloader.name) == (S.DOWNLOADING, "late")


def test_a_downloader_of_another_type_changes_nothing(service: Double):
    job = add(1)
    dispatching.run()
    announce(service, "http only", DownloadType.HTTP)
    dispatching.run()
    assert now(job).status == S.NO_DOWNLOADER
    assert service.asked == []


def test_what_waits_comes_back_in_bounded_numbers(service: Double, monkeypatch):
    monkeypatch.setattr(dispatching, "RECALL_AT_ONCE", 3)
    jobs = [add(n) for n in range(1, 6)]
    dispatching.run()
    announce(service, "late")
    dispatching.run()
    assert len(service.taken()) == 3
    dispatching.run()
    assert len(service.taken()) == 5
    assert {now(job).status for job in jobs} == {S.DOWNLOADING}


def test_a_disabled_downloader_gets_nothing_new(service: Double):
    downloader = announce(service, "off")
    Downloader.objects.filter(pk=downloader.pk).update(enabled=False)
    job = add(1)
    dispatching.run()
    assert now(job).status == S.NO_DOWNLOADER
    assert service.asked == []


def test_when_all_refuse_the_job_fails_with_every_reason(service: Double, second: Double):
    for it, name in ((service, "one"), (second, "two")):
        announce(it, name)
        it.reply = lambda items, name=name: (
            200,
            {
                "results": [
                    {
                        "url": items[0]["url"],
                        "hash": None,
                        "status": "failed",
                        "reason": f"not {name}",
                    }
                ]
            },
        )
    job = add(1)
    dispatching.run()
    assert (now(job).status, now(job).error_message) == (S.FAILED, "one: not one; two: not two")
    services.retry(job.pk)
    assert now(job).refusals == {}, "a retry asks everybody again"


def test_http_links_go_to_our_own_workers_and_keep_waiting_in_the_queue(service: Double):
    job = services.enqueue(order_for("https://files.example/film.mp4"))[0]
    assert job not in Job.objects.due(timezone.now())
    assert transitions.claim(job.pk, "worker") is None, "nobody was given it yet"
    dispatching.run()
    assert (now(job).status, now(job).downloader.kind) == (S.QUEUED, "builtin")
    assert list(Job.objects.due(timezone.now())) == [job]
    assert transitions.claim(job.pk, "worker") == 1


def test_our_workers_claim_no_job_of_another_downloader(service: Double):
    announce(service, "box")
    job = add(1)
    dispatching.run()
    services.pause(job.pk)
    services.resume(job.pk)
    assert (now(job).status, now(job).downloader.name) == (S.QUEUED, "box")
    assert transitions.claim(job.pk, "worker") is None


def test_a_timed_out_batch_that_arrived_is_found_and_not_sent_again(
    service: Double, second: Double, monkeypatch
):
    announce(service, "slow", priority=60)
    announce(second, "next", priority=10)

    def taken_but_broken(items: list[dict]) -> tuple[int, object]:
        service.reply = None
        service.post(items)
        return 502, b"<html>bad gateway</html>"

    service.reply = taken_but_broken
    job = add(1)
    dispatching.run()
    assert (now(job).status, now(job).downloader.name) == (S.DOWNLOADING, "slow")
    assert second.asked == []
    assert len(service.batches()) == 1


def test_a_batch_that_may_have_arrived_stays_until_that_is_known(service: Double, second: Double):
    """Neither lost nor doubled while the downloader says nothing at all."""
    announce(service, "mute", priority=60)
    announce(second, "next", priority=10)
    service.reply = lambda items: (500, {})
    service.status_reply = (500, {})
    job = add(1)
    dispatching.run()
    assert (now(job).status, now(job).downloader.name) == (S.QUEUED, "mute")
    assert "asked again" in now(job).error_message
    assert second.asked == []
    service.status_reply = None  # it answers: it has nothing
    forget_pauses()
    service.reply = None
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    assert len(service.taken()) + len(second.taken()) == 2, "sent again only after it was asked"


def test_after_some_silence_another_takes_it_and_the_silent_one_is_told_to_drop_it(
    service: Double, second: Double
):
    announce(service, "mute", priority=60)
    announce(second, "next", priority=10)
    service.reply = lambda items: (500, {})
    service.status_reply = (500, {})
    job = add(1)
    for _ in range(4):
        dispatching.run()
        forget_pauses()
    dispatching.run()
    assert (now(job).status, now(job).downloader.name) == (S.DOWNLOADING, "next")
    errand = Errand.objects.get()
    assert (errand.action, errand.remote_id, errand.downloader.name) == (
        ErrandAction.CANCEL,
        job.infohash,
        "mute",
    )


def test_one_bad_item_does_not_keep_a_batch_from_a_strict_service(service: Double):
    announce(service, "strict")

    def strict(items: list[dict]) -> tuple[int, object]:
        if any(item["url"] == magnet(3) for item in items):
            return 422, {"detail": "no"}
        service.reply, answer = None, None
        answer = service.post(items)
        service.reply = strict
        return answer

    service.reply = strict
    jobs = [add(n) for n in range(1, 6)]
    dispatching.run()
    statuses = [now(job).status for job in jobs]
    assert statuses == [S.DOWNLOADING, S.DOWNLOADING, S.FAILED, S.DOWNLOADING, S.DOWNLOADING]
    assert "it answered 422" in now(jobs[2]).error_message


def test_a_wrong_key_is_said_and_the_job_waits(service: Double):
    service.key = "right"
    announce(service, "locked", api_key="wrong")
    job = add(1)
    dispatching.run()
    assert now(job).status == S.DOWNLOADER_ERROR
    assert "does not accept the key" in now(job).error_message
    announce(service, "locked", api_key="right")
    dispatching.run()
    assert now(job).status == S.DOWNLOADING


def test_the_key_is_encrypted_at_rest(service: Double):
    downloader = announce(service, "locked", api_key="open sesame")
    downloader.refresh_from_db()
    assert "sesame" not in downloader.credentials
    assert downloader.secret == "open sesame"


def test_a_redirect_is_not_followed(service: Double, second: Double):
    """A registered address is the downloader's own; where it points to is somebody else's."""
    announce(service, "elsewhere")
    service.reply = lambda items: (302, {})
    job = add(1)
    dispatching.run()
    assert now(job).status == S.DOWNLOADER_ERROR
    assert "redirects" in now(job).error_message
    assert second.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"[" * 100_000,
        [],
        {"results": None},
        {"results": [None, 5, {"url": 7}]},
        {"results": [{"url": magnet(1), "status": {"a": 1}, "hash": ["x"]}]},
        {"results": [{"url": magnet(1), "status": "perhaps", "hash": "1" * 40}]},
    ],
)
def test_nonsense_from_a_service_loses_nothing(service: Double, answer: object):
    announce(service, "odd")
    service.reply = lambda items: (200, answer)
    job = add(1)
    dispatching.run()
    assert now(job).status in (S.DOWNLOADER_ERROR, S.FAILED)
    assert now(job).error_message


def test_a_hash_that_is_a_path_is_not_used(service: Double):
    announce(service, "evil")
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": "../../admin", "status": "accepted"}]},
    )
    job = add(1)
    dispatching.run()
    assert now(job).remote_id == job.infohash


def test_a_cancelled_link_is_not_sent(service: Double):
    announce(service, "box")
    job = add(1)
    services.cancel(job.pk)
    dispatching.run()
    assert service.asked == []


def test_fifty_links_are_one_batch_and_a_hundred_are_two(service: Double):
    announce(service, "box")
    for number in range(1, 101):
        add(number)
    dispatching.run()
    assert [len(batch) for batch in service.batches()] == [50, 50]


def test_the_order_of_the_queue_is_the_order_of_the_batch(service: Double):
    announce(service, "box")
    one, two = add(1), add(2)
    Job.objects.filter(pk=one.pk).update(queue_place=two.queue_place + 1)
    dispatching.run()
    assert service.taken() == [magnet(2), magnet(1)]


def test_a_former_download_there_is_dropped_before_the_new_one_is_handed_over(service: Double):
    """Handed over before that, the new one would be dropped with the old."""
    announce(service, "box")
    job = add(1)
    dispatching.run()
    services.remove(job.pk, delete_files=True)
    again = add(1)
    dispatching.run()
    assert (now(again).status, now(again).downloader) == (S.QUEUED, None)
    assert len(service.batches()) == 1


def test_an_older_hand_over_that_is_not_resolved_keeps_a_job_from_a_second_one(service: Double):
    downloader = announce(service, "box")
    job = add(1)
    assert len(outbox.intend([job], downloader, {job.pk: job.infohash})) == 1
    Job.objects.filter(pk=job.pk).update(downloader=None)
    assert outbox.intend([now(job)], downloader, {}) == []
    assert now(job).downloader is None
    dispatching.run()
    assert service.batches() == []


def test_a_batch_is_bounded_json(service: Double):
    announce(service, "box")
    add(1)
    dispatching.run()
    assert json.loads(json.dumps(service.asked[0][2])).keys() == {"items"}


def test_a_link_that_was_put_off_waits(service: Double):
    announce(service, "box")
    job = add(1)
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now() + timedelta(minutes=1))
    dispatching.run()
    assert service.asked == []
