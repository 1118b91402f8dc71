"""`sync/maindata`: everything at first, then only what has changed, for each client what it has not been told."""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone

from downloads import limits, transitions
from downloads.models import Job, JobStatus
from qbshim import changes, maindata
from qbshim import tags as tag_cases
from qbshim.models import Category, Change, ClientSession, SyncPoint
from tests.downloads.factories import MIB, JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory

PARTS = ("categories", "tags", "torrents", "trackers")


class Mirror:
    """A client that keeps everything and puts in what it is told, as qBittorrent's own web page does."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.rid = 0
        self.categories: dict[str, dict[str, Any]] = {}
        self.tags: set[str] = set()
        self.torrents: dict[str, dict[str, Any]] = {}
        self.trackers: dict[str, list[str]] = {}
        self.state: dict[str, Any] = {}

    def ask(self) -> dict[str, Any]:
        """The answer, not yet taken in: it may be lost on the way."""
        response: HttpResponse = self.caller.get("sync/maindata", rid=self.rid)
        assert response.status_code == 200
        return response.json()

    def poll(self) -> dict[str, Any]:
        """Ask and take in; returns the answer without its number."""
        told = self.ask()
        self.take(told)
        return {key: value for key, value in told.items() if key != "rid"}

    def take(self, told: dict[str, Any]) -> None:
        if told.get("full_update"):
            self.categories, self.tags, self.torrents, self.trackers = {}, set(), {}, {}
        self.rid = told["rid"]
        for name, values in told.get("categories", {}).items():
            self.categories.setdefault(name, {}).update(values)
        for infohash, values in told.get("torrents", {}).items():
            known = self.torrents.setdefault(infohash, {})
            for key, value in values.items():
                assert known.get(key, ...) != value, f"{key} is sent and has not changed"
            known.update(values)
        self.trackers.update(told.get("trackers", {}))
        self.tags.update(told.get("tags", []))
        for kept, part in ((self.categories, "categories"), (self.torrents, "torrents"), (self.trackers, "trackers")):  # fmt: skip
            for gone in told.get(f"{part}_removed", []):
                del kept[gone]
        self.tags -= set(told.get("tags_removed", []))
        self.state.update(told.get("server_state", {}))

    def has_all(self) -> None:
        """Compare with what somebody sees who asks for the first time."""
        fresh = Mirror(self.caller)
        fresh.poll()
        assert self.torrents.keys() == fresh.torrents.keys()
        for infohash, item in fresh.torrents.items():
            assert self.torrents[infohash] == item
        assert (self.categories, self.tags) == (fresh.categories, fresh.tags)
        assert self.trackers == fresh.trackers
        moving = {"free_space_on_disk", "alltime_dl", "dl_info_data"}
        assert {k: v for k, v in self.state.items() if k not in moving} == {
            k: v for k, v in fresh.state.items() if k not in moving
        }


@pytest.fixture
def client(sonarr: Caller) -> Mirror:
    return Mirror(sonarr)


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


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


def test_nothing_new_is_a_number_and_nothing_else(client: Mirror):
    JobFactory()
    client.poll()
    told = client.ask()
    assert parts(told) == {"rid": 2}


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


def test_an_answer_that_is_too_old_leads_to_the_whole(client: Mirror):
    client.poll()
    SyncPoint.objects.update(at=time.time() - changes.VALID_SECONDS - 1)
    assert client.poll()["full_update"] is True


def test_an_answer_of_an_older_process_leads_to_the_whole(client: Mirror, monkeypatch):
    client.poll()
    monkeypatch.setattr(maindata, "_STARTED", time.time() + 1)
    assert client.poll()["full_update"] is True


def test_after_changes_that_nobody_wrote_down_all_start_from_the_whole(client: Mirror):
    client.poll()
    Change.objects.create(kind=0, at=int(time.time()))
    assert client.poll()["full_update"] is True
    assert "full_update" not in client.poll()


def test_the_numbers_go_round(client: Mirror):
    client.poll()
    ClientSession.objects.update(last_rid=999_998)
    job = JobFactory()
    assert [client.ask()["rid"] for _ in range(3)] == [999_999, 1_000_000, 1]
    client.poll()
    client.caller.post("torrents/addTags", hashes=job.infohash, tags="a")
    assert client.poll()["torrents"] == {job.infohash: {"tags": "a"}}


def test_few_answers_are_remembered_for_each_session(client: Mirror):
    for _ in range(3 * maindata.REMEMBERED):
        client.poll()
    assert SyncPoint.objects.count() <= 2 * maindata.REMEMBERED
    client.caller.post("auth/logout")
    assert SyncPoint.objects.count() == 0


def test_what_has_not_changed_costs_nothing(client: Mirror, django_assert_num_queries):
    for count in (5, 50):
        jobs = [JobFactory() for _ in range(count)]
        client.poll()
        Job.objects.filter(pk=jobs[0].pk).update(error_message="x")
        # Session and user, what the client has, the mark, the log, the changed job, and the new answer.
        with django_assert_num_queries(7):
            assert list(client.poll()["torrents"]) == [jobs[0].infohash]
        with django_assert_num_queries(7):
            assert parts(client.poll()) == {}


def test_peers_are_nobody(sonarr: Caller):
    job = JobFactory()
    whole = {"full_update": True, "peers": {}, "rid": 1, "show_flags": False}
    assert sonarr.get("sync/torrentPeers", hash=job.infohash).json() == whole
    assert sonarr.get("sync/torrentPeers", hash=job.infohash, rid=1).json() == {"rid": 2}
    for params in ({}, {"hash": "0" * 40}):
        assert sonarr.get("sync/torrentPeers", **params).status_code == 404


def _steps(rng: random.Random, caller: Caller) -> list[Callable[[], object]]:
    """Things that happen, all by chance."""

    def some() -> Job | None:
        jobs = list(Job.objects.present().order_by("pk"))
        return rng.choice(jobs) if jobs else None

    def on(change: Callable[[Job], object]) -> Callable[[], object]:
        return lambda: (job := some()) and change(job)

    def set_columns(**values: Callable[[], Any]) -> Callable[[], object]:
        return on(
            lambda job: Job.objects.filter(pk=job.pk).update(
                **{key: value() for key, value in values.items()}
            )
        )

    return [
        lambda: JobFactory(category=rng.choice(["", "tv", "by-hand"])),
        lambda: ClientTaskFactory(job__running=True, tags=["a"]),
        lambda: JobFactory(completed=True),
        on(lambda job: caller.post("torrents/delete", hashes=job.infohash)),
        on(lambda job: Job.objects.filter(pk=job.pk).delete()),
        on(lambda job: caller.post("torrents/setTags", hashes=job.infohash, tags=rng.choice(["", "a", "a,b"]))),
        on(lambda job: caller.post("torrents/rename", hash=job.infohash, name=rng.choice("xyz"))),
        set_columns(progress=rng.random, speed=lambda: rng.randrange(9**9), downloaded_bytes=lambda: rng.randrange(9**9)),
        set_columns(queue_place=lambda: rng.randrange(10**9)),
        set_columns(category=lambda: rng.choice(["", "tv", "other"])),
        set_columns(error_message=lambda: rng.choice(["", "ünglück «x»", '"quoted" \\'])),
        set_columns(status=lambda: rng.choice(JobStatus.values), completed_at=timezone.now),
        set_columns(heartbeat_at=timezone.now),
        lambda: Category.objects.get_or_create(pk=rng.choice(["tv", "films"])),
        lambda: Category.objects.filter(pk=rng.choice(["tv", "films"])).update(save_path=rng.choice(["", "elsewhere"])),
        lambda: Category.objects.filter(pk="tv").delete(),
        lambda: tag_cases.create([rng.choice("abc")]),
        lambda: tag_cases.delete([rng.choice("abc")]),
        lambda: limits.set_speed_limits(download_limit=rng.choice([0, 5, 7])),
        lambda: caller.post("app/setPreferences", json=f'{{"refresh_interval": {rng.choice([500, 1500])}}}'),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_every_client_knows_all_of_it(sonarr: Caller, seed: int, clock: Clock):
    rng = random.Random(seed)
    clients = [Mirror(sonarr), Mirror(sonarr)]
    steps = _steps(rng, sonarr)
    for _ in range(5):
        steps[0]()
    for _ in range(30):
        for step in rng.choices(steps, k=rng.randrange(4)):
            step()
        clock.now += rng.choice([0, 1, 15])
        client = rng.choice(clients)
        if rng.random() < 0.2:
            client.ask()  # lost on the way
        client.poll()
        client.has_all()
    assert Change.objects.count() > 25


@pytest.mark.django_db(transaction=True)
def test_clients_that_ask_while_others_write_miss_nothing(owner: Any):
    jobs = [JobFactory() for _ in range(100)]
    over = threading.Event()
    mirrors = []
    for _ in range(3):
        mirrors.append(Mirror(Caller()))
        mirrors[-1].caller.sign_in()
    wrong: list[BaseException] = []

    def write(number: int) -> None:
        # Each job once: what is lost then is never told.
        rng = random.Random(number)
        for job in jobs[number::4]:
            with transaction.atomic():
                Job.objects.filter(pk=job.pk).update(error_message=f"written by {number}")
                if connection.vendor != "sqlite":  # has one writer at a time
                    time.sleep(rng.random() / 20)

    def ask(mirror: Mirror) -> None:
        while not over.is_set():
            mirror.poll()

    def safely(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  the test looks at it
            wrong.append(error)
        finally:
            connection.close()

    pollers = [threading.Thread(target=safely, args=(partial(ask, one),)) for one in mirrors]
    writers = [threading.Thread(target=safely, args=(partial(write, n),)) for n in range(4)]
    for thread in (*pollers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in pollers:
        thread.join()
    assert wrong == []
    for mirror in mirrors:
        mirror.poll()
        mirror.has_all()
