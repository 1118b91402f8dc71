"""`sync/maindata`: everything at first, then only what has changed, for each client what it has not been told."""

import time
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from downloads import limits, transitions
from downloads.models import Job, JobStatus
from qbshim import changes, maindata
from qbshim import tags as tag_cases
from qbshim.models import Change, ClientSession, SyncPoint
from tests.downloads.factories import MIB, JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory
from tests.qbshim.mirror import Clock, Mirror

pytestmark = pytest.mark.usefixtures("asked_next")

PARTS = ("categories", "tags", "torrents", "trackers")


@pytest.fixture
def client(sonarr: Caller) -> Mirror:
    return Mirror(sonarr)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(maindata, "time", clock)
    return clock


def parts(told: dict[str, Any]) -> dict[str, Any]:
    """An answer without the state of the server, in which the free space may have changed."""
    return {key: value for key, value in told.items() if key != "server_state"}


def test_the_first_answer_is_whole_and_has_the_number_one(client: Mirror):
    job = ClientTaskFactory(tags=["a"], job__category="tv").job
    tag_cases.create(["a", "b"])
    told = client.ask()
    assert (told["full_update"], told["rid"]) == (True, 1)
    assert "hash" not in told["torrents"][job.infohash]
    assert (list(told["categories"]), told["tags"]) == (["tv"], ["a", "b"])
    assert told["trackers"] == {told["torrents"][job.infohash]["tracker"]: [job.infohash]}


def test_an_empty_server_has_empty_maps(client: Mirror):
    told = client.poll()
    assert [told[part] for part in PARTS] == [{}, [], {}, {}]


@pytest.fixture
def still_disk(monkeypatch) -> None:
    """Other programs write to the disk whenever they like, and its free space is part of an answer."""
    monkeypatch.setattr("qbshim.server.free_space", lambda: 10**12)


@pytest.mark.usefixtures("still_disk")
def test_nothing_new_is_the_number_of_the_last_answer_and_nothing_else(client: Mirror):
    job = JobFactory()
    client.poll()
    for _ in range(3):
        told = client.ask()
        assert parts(told) == {"rid": 1}
        client.take(told)
    Job.objects.filter(pk=job.pk).update(error_message="x")
    assert client.ask()["rid"] == 2


@pytest.mark.usefixtures("still_disk")
def test_who_hears_nothing_new_for_long_keeps_being_told_differences(client: Mirror, clock: Clock):
    job = JobFactory()
    client.poll()
    for _ in range(10):
        clock.now += changes.VALID_SECONDS / 3
        assert "full_update" not in client.poll()
    Job.objects.filter(pk=job.pk).update(error_message="x")
    assert list(client.poll()["torrents"]) == [job.infohash]


def test_a_point_that_is_forgotten_while_it_is_asked_leads_to_the_whole(
    client: Mirror, monkeypatch: pytest.MonkeyPatch
):
    job = JobFactory()
    client.poll()
    Job.objects.filter(pk=job.pk).update(error_message="x")
    maindata.points.forget()
    real = changes.since

    def meanwhile(mark: changes.Mark) -> Any:
        SyncPoint.objects.all().delete()
        return real(mark)

    monkeypatch.setattr(changes, "since", meanwhile)
    assert client.poll()["full_update"] is True
    client.has_all()


@pytest.mark.parametrize("rid", ["", "0", "-5", "x", "999999", "9" * 30, "2"])
def test_a_number_that_was_never_given_leads_to_the_whole(client: Mirror, rid: str):
    client.poll()
    told = client.caller.get("sync/maindata", rid=rid).json()
    assert (told["full_update"], told["rid"]) == (True, 2)


def test_another_session_has_numbers_of_its_own(client: Mirror, stranger: Caller):
    for _ in range(3):
        client.poll()
    stranger.sign_in()
    assert stranger.get("sync/maindata", rid=3).json()["full_update"] is True
    assert parts(client.poll()) == {}


def test_only_the_changed_field_is_sent(client: Mirror):
    JobFactory(), CategoryFactory(name="tv")
    done = JobFactory(completed=True)
    client.poll()
    client.caller.post("torrents/setCategory", hashes=done.infohash, category="tv")
    Job.objects.filter(pk=done.pk).update(save_path=done.save_path)
    told = client.poll()
    assert told["torrents"].keys() == {done.infohash}
    assert told["torrents"][done.infohash]["category"] == "tv"
    assert not {"name", "size", "added_on", "tags"} & told["torrents"][done.infohash].keys()
    assert "trackers" not in told


def test_progress_sends_what_moves(client: Mirror):
    job = JobFactory(running=True, downloaded_bytes=100 * MIB, progress=0.25)
    client.poll()
    transitions.beat(job.pk, 1, progress=0.5, downloaded_bytes=200 * MIB, speed=7 * MIB, eta=30)
    told = client.poll()["torrents"][job.infohash]
    assert told.keys() - {"time_active", "last_activity", "seen_complete"} == {
        "amount_left", "completed", "dlspeed", "downloaded", "downloaded_session", "eta", "progress",
    }  # fmt: skip
    assert client.state["dl_info_speed"] == 7 * MIB
    transitions.beat(job.pk, 1)
    assert parts(client.poll()).get("torrents", {}).get(job.infohash, {}).keys() <= {"time_active"}


def test_time_passes_without_anybody_writing_it(client: Mirror, clock: Clock):
    job = JobFactory(running=True)
    client.poll()
    clock.now += 30
    assert client.poll()["torrents"][job.infohash].keys() == {"time_active"}
    clock.now += 120
    told = client.poll()["torrents"][job.infohash]
    assert (told["state"], told["dlspeed"]) == ("stalledDL", 0)
    assert client.state["dl_info_speed"] == 0


def test_torrents_come_and_go(client: Mirror):
    client.poll()
    job = JobFactory()
    told = client.poll()
    assert len(told["torrents"][job.infohash]) == 56
    assert told["trackers"] == {client.torrents[job.infohash]["tracker"]: [job.infohash]}
    client.caller.post("torrents/delete", hashes=job.infohash)
    told = client.poll()
    assert told["torrents_removed"] == [job.infohash]
    assert "torrents" not in told
    assert client.trackers == {}


def test_one_that_was_deleted_and_added_again_in_between_is_the_same_torrent(client: Mirror):
    first = JobFactory(name="Old", created_at=timezone.now() - timezone.timedelta(hours=1))
    client.poll()
    client.caller.post("torrents/delete", hashes=first.infohash)
    JobFactory(infohash=first.infohash, name="New")
    told = client.poll()
    assert "torrents_removed" not in told
    assert told["torrents"][first.infohash]["name"] == "New"
    client.has_all()


def test_one_that_came_and_went_in_between_is_not_mentioned(client: Mirror):
    client.poll()
    job = JobFactory()
    client.caller.post("torrents/delete", hashes=job.infohash)
    assert not {"torrents", "torrents_removed", "trackers"} & client.poll().keys()


def test_a_row_that_is_deleted_for_good_is_gone_too(client: Mirror):
    task = ClientTaskFactory()
    client.poll()
    Job.objects.filter(pk=task.job_id).delete()
    assert client.poll()["torrents_removed"] == [task.hash]


def test_categories_come_change_and_go(client: Mirror):
    client.poll()
    client.caller.post("torrents/createCategory", category="tv")
    folder = f"{settings.DOWNLOAD_DIR}/tv"
    assert client.poll()["categories"] == {"tv": {"name": "tv", "savePath": folder}}
    client.caller.post("torrents/editCategory", category="tv", savePath="shows")
    folder = f"{settings.DOWNLOAD_DIR}/shows"
    assert client.poll()["categories"] == {"tv": {"savePath": folder}}
    client.caller.post("torrents/removeCategories", categories="tv")
    told = client.poll()
    assert told["categories_removed"] == ["tv"]
    assert "categories" not in told


def test_a_category_that_only_a_job_names_comes_and_goes_with_it(client: Mirror):
    client.poll()
    job = JobFactory(category="by-hand")
    assert list(client.poll()["categories"]) == ["by-hand"]
    client.caller.post("torrents/delete", hashes=job.infohash)
    assert client.poll()["categories_removed"] == ["by-hand"]


def test_tags_come_and_go_and_are_sent_with_their_torrent(client: Mirror):
    job = JobFactory()
    client.poll()
    client.caller.post("torrents/createTags", tags="a,b")
    assert parts(client.poll()) == {"tags": ["a", "b"]}
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="b,c")
    told = client.poll()
    assert (told["tags"], told["torrents"]) == (["c"], {job.infohash: {"tags": "b, c"}})
    client.caller.post("torrents/deleteTags", tags="b")
    told = client.poll()
    assert (told["tags_removed"], told["torrents"]) == (["b"], {job.infohash: {"tags": "c"}})
    assert "tags" not in told


def test_a_rename_of_a_job_from_elsewhere_is_a_new_name(client: Mirror):
    job = JobFactory()
    client.poll()
    client.caller.post("torrents/rename", hash=job.infohash, name="Another")
    assert client.poll()["torrents"] == {job.infohash: {"name": "Another"}}
    client.has_all()


def test_the_state_of_the_server_is_sent_when_it_changes(client: Mirror):
    client.poll()
    limits.set_speed_limits(download_limit=1_000_000, alternative_enabled=False)
    assert client.poll()["server_state"]["dl_rate_limit"] == 1_000_000
    client.caller.post("transfer/toggleSpeedLimitsMode")
    assert client.poll()["server_state"]["use_alt_speed_limits"] is True
    client.caller.post("app/setPreferences", json='{"refresh_interval": 3000}')
    assert client.poll()["server_state"]["refresh_interval"] == 3000


def test_when_one_is_finished_all_behind_it_move_up(client: Mirror):
    first, second, third = (JobFactory() for _ in range(3))
    client.poll()
    Job.objects.filter(pk=first.pk).delete()
    told = client.poll()["torrents"]
    assert told == {second.infohash: {"priority": 1}, third.infohash: {"priority": 2}}
    token = transitions.claim(third.pk, "worker")
    transitions.move(
        third.pk, JobStatus.COMPLETED, token=token, progress=1.0, completed_at=timezone.now()
    )
    assert client.poll()["torrents"][third.infohash]["priority"] == 0
    client.has_all()


def test_a_lost_answer_is_told_again(client: Mirror):
    job = JobFactory()
    client.poll()
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="a")
    lost = client.ask()
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="b")
    told = client.ask()
    assert (lost["torrents"], told["torrents"]) == (
        {job.infohash: {"tags": "a"}},
        {job.infohash: {"tags": "a, b"}},
    )
    assert told["rid"] == lost["rid"] + 1
    assert "full_update" not in told
    client.take(told)
    client.has_all()


def test_what_was_changed_and_changed_back_is_nothing(client: Mirror):
    job = JobFactory()
    client.poll()
    for tags in ("a", ""):
        client.caller.post("torrents/setTags", hashes=job.infohash, tags=tags)
    told = client.poll()
    assert "torrents" not in told
    assert told["tags"] == ["a"]


def test_several_clients_of_one_session_are_each_told_what_they_lack(client: Mirror):
    other = Mirror(client.caller)
    job = JobFactory()
    client.poll(), other.poll()
    for tag in "abcdef":
        client.caller.post("torrents/addTags", hashes=job.infohash, tags=tag)
        assert "full_update" not in client.poll()
        if tag in "cf":
            assert "full_update" not in other.poll()
    client.has_all(), other.has_all()


def test_a_client_with_the_key_has_a_session_of_its_own(client: Mirror):
    key = {"Authorization": f"Bearer {settings.API_KEY}"}
    one, two = (Mirror(Caller(**key, User_Agent=agent)) for agent in ("qui", "autobrr"))
    job = JobFactory()
    one.poll(), two.poll()
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="a")
    for mirror in (one, two):
        assert mirror.rid == 1
        assert mirror.poll()["torrents"] == {job.infohash: {"tags": "a"}}
    assert ClientSession.objects.filter(user=None).count() == 2


def test_an_answer_that_is_too_old_leads_to_the_whole(client: Mirror, clock: Clock):
    client.poll()
    clock.now += changes.VALID_SECONDS + 1
    assert client.poll()["full_update"] is True


@pytest.mark.parametrize("name", ["VERSION", "QBIT_PUBLIC_SAVE_PATH"])
def test_an_answer_that_would_be_worded_otherwise_now_leads_to_the_whole(
    client: Mirror, settings, name: str
):
    client.poll()
    setattr(settings, name, "/another")
    assert client.poll()["full_update"] is True
    assert "full_update" not in client.poll()


def test_after_changes_that_nobody_wrote_down_all_start_from_the_whole(client: Mirror):
    client.poll()
    Change.objects.create(kind=0, at=int(time.time()))
    assert client.poll()["full_update"] is True
    assert "full_update" not in client.poll()


def test_a_log_of_other_columns_leads_to_the_whole(client: Mirror):
    """As a new version of the same number leaves it, when it has a column more: its triggers were made anew then."""
    job = JobFactory()
    client.poll()
    Change.objects.create(kind=1, job_id=job.pk, at=int(time.time()), old='[1, "of", "long ago"]')
    Change.objects.create(kind=0, at=int(time.time()))
    assert client.poll()["full_update"] is True
    client.has_all()


def test_a_database_that_was_put_back_leads_to_the_whole(client: Mirror):
    """A process may run on meanwhile, and remembers answers of a later time."""
    job = JobFactory()
    Job.objects.filter(pk=job.pk).update(error_message="as it was")
    then = Change.objects.latest("pk").pk
    Job.objects.filter(pk=job.pk).update(error_message="as it became")
    client.poll()
    Job.objects.filter(pk=job.pk).update(error_message="as it was")
    Change.objects.filter(pk__gt=then).delete()
    assert client.poll()["full_update"] is True
    client.has_all()


def test_the_numbers_go_round(client: Mirror):
    client.poll()
    ClientSession.objects.update(last_rid=999_998)
    job = JobFactory()
    for number in (999_999, 1_000_000, 1):
        Job.objects.filter(pk=job.pk).update(error_message=f"at {number}")
        assert client.ask()["rid"] == number
    client.poll()
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="a")
    assert client.poll()["torrents"] == {job.infohash: {"tags": "a"}}


def test_few_answers_are_remembered_for_each_session(client: Mirror):
    for _ in range(3 * maindata.REMEMBERED):
        client.poll()
    assert SyncPoint.objects.count() <= 2 * maindata.REMEMBERED
    client.caller.post("auth/logout")
    assert SyncPoint.objects.count() == 0


@pytest.mark.usefixtures("still_disk")
def test_what_has_not_changed_costs_nothing(
    client: Mirror, asked_next: str, django_assert_num_queries
):
    anew = asked_next == "another process"
    for count in (5, 50):
        jobs = [JobFactory() for _ in range(count)]
        client.poll()
        Job.objects.filter(pk=jobs[0].pk).update(error_message="x")
        # Session and user, the log with the changed job; the new answer, on SQLite in a transaction. Another process
        # reads what the client has, and the labels among it.
        count = (3 if connection.vendor == "postgresql" else 6) + 2 * anew
        with django_assert_num_queries(count):
            assert list(client.poll()["torrents"]) == [jobs[0].infohash]
        with CaptureQueriesContext(connection) as asked:
            assert parts(client.poll()) == {}
        assert [one["sql"].split()[0] for one in asked] == ["SELECT"] * (2 + anew)


def test_peers_are_nobody(sonarr: Caller):
    job = JobFactory()
    whole = {"full_update": True, "peers": {}, "rid": 1, "show_flags": False}
    assert sonarr.get("sync/torrentPeers", hash=job.infohash).json() == whole
    assert sonarr.get("sync/torrentPeers", hash=job.infohash, rid=1).json() == {"rid": 2}
    for params in ({}, {"hash": "0" * 40}):
        assert sonarr.get("sync/torrentPeers", **params).status_code == 404
