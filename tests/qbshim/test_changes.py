"""The change log: written by the database, whoever writes, and read so that nothing is lost."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from downloads.models import Job, JobStatus
from qbshim import changes, cleanup, order, rows, triggers
from qbshim.changes import Mark
from qbshim.models import Change, ChangeKind, ClientTask
from qbshim.rows import Row
from tests.downloads.factories import JobFactory
from tests.qbshim.factories import ClientTaskFactory


def since(mark: Mark) -> changes.Changes:
    return changes.since(Mark(*mark.stored()))[1]


def test_every_column_of_the_log_has_its_field():
    fields = list(Row.__dataclass_fields__)
    assert fields[: len(rows.JOB)] == ["pk", *(column.name for column in rows.JOB[1:])]
    assert fields[len(rows.JOB) :] == [
        "task_name",
        *(column.name for column in rows.TASK[1:]),
        "magnet",
    ]


def test_a_change_is_written_down_with_what_was_there_before(db: None):
    task = ClientTaskFactory(tags=["ä", '"b"'], job__running=True, job__progress=1 / 3)
    [before] = rows.fetch()
    mark = changes.mark()
    Job.objects.filter(pk=task.job_id).update(name="New", progress=0.5, forced=True)
    ClientTask.objects.update(name="Other", tags=[])
    found = since(mark)
    assert found.jobs.keys() == found.tasks.keys() == {task.job_id}
    old = Row.before(found.jobs[task.job_id] or "")
    old.task_before(found.tasks[task.job_id])
    old.magnet = before.magnet
    assert old == before
    assert not any((found.reorders, found.labels, found.settings, found.reset))


def test_the_first_of_several_changes_says_what_was_there(db: None):
    job = JobFactory(name="first")
    mark = changes.mark()
    for name in ("second", "third"):
        Job.objects.filter(pk=job.pk).update(name=name)
    assert Row.before(since(mark).jobs[job.pk] or "").name == "first"


def test_a_new_job_was_nothing_before(db: None):
    mark = changes.mark()
    job = JobFactory()
    Job.objects.filter(pk=job.pk).update(name="x")
    assert since(mark).jobs == {job.pk: None}


def test_what_nobody_is_shown_is_not_written_down(db: None):
    job = JobFactory(running=True)
    mark = changes.mark()
    Job.objects.update(
        heartbeat_at=timezone.now(), polled_at=timezone.now(), misses=F("misses") + 1
    )
    Job.objects.update(name=job.name, progress=job.progress)
    assert since(mark).jobs == {}
    assert changes.mark().last == mark.last


@pytest.mark.parametrize(
    ("values", "reorders"),
    [
        ({"queue_place": 1}, True),
        ({"status": JobStatus.COMPLETED}, True),
        ({"removed_at": timezone.now()}, True),
        ({"status": JobStatus.PAUSED}, False),
        ({"progress": 0.7}, False),
    ],
)
def test_it_says_whether_the_order_of_the_queue_changes(db: None, values: dict, reorders: bool):
    job = JobFactory()
    mark = changes.mark()
    Job.objects.filter(pk=job.pk).update(**values)
    assert since(mark).reorders is reorders
    assert changes.reordered_since(mark) is reorders


def test_places_are_read_again_only_when_they_change(db: None, django_assert_num_queries):
    jobs = [JobFactory() for _ in range(3)]
    assert order.current.get() == {job.pk: n for n, job in enumerate(jobs, 1)}
    Job.objects.update(progress=0.5)
    with django_assert_num_queries(1):
        order.current.get()
    Job.objects.filter(pk=jobs[0].pk).update(queue_place=F("queue_place") + 10**6)
    with django_assert_num_queries(3):
        assert order.current.get()[jobs[0].pk] == 3


def test_old_rows_go(db: None):
    JobFactory()
    Change.objects.update(at=int(time.time()) - changes.KEPT_SECONDS - 1)
    job = JobFactory()
    mark = changes.mark()
    cleanup.run()
    assert [row.job_id for row in Change.objects.all()] == [job.pk]
    Job.objects.filter(pk=job.pk).update(name="x")
    assert list(since(mark).jobs) == [job.pk]


@pytest.fixture
def tables() -> Iterator[None]:
    """Whatever a test does to the triggers, they are there afterwards."""
    yield
    triggers.ensure()


def test_the_triggers_are_there_after_a_migration(db: None):
    assert triggers.are_there()
    count = Change.objects.count()
    triggers.after_migration()
    assert Change.objects.count() == count, "nothing had to be made, so nobody starts anew"


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_does_something_takes_them_away_and_brings_them_back(tables: None):
    triggers.on_migration(plan=[])
    assert triggers.are_there()
    triggers.on_migration(plan=[object()])
    assert not triggers.are_there()
    mark = changes.mark()
    JobFactory()
    assert since(mark).jobs == {}
    triggers.after_migration()
    assert triggers.are_there()
    assert since(mark).reset
    JobFactory()
    assert len(since(mark).jobs) == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_only_partly_migrated_is_left_without(tables: None, monkeypatch):
    """Else whoever goes back a migration would have triggers that ask for a column that is not there."""
    triggers.drop()
    job, *_ = triggers.WATCHED
    later = replace(job, columns=[*job.columns, rows.Column("of_a_later_version")])
    monkeypatch.setattr(triggers, "WATCHED", (later,))
    triggers.after_migration()
    assert not triggers.are_there()
    Job.objects.filter(pk=JobFactory().pk).update(name="can be changed")


@pytest.mark.django_db(transaction=True)
def test_an_older_trigger_makes_way(tables: None):
    name = f"{triggers.PREFIX}downloads_job_update_0000"
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                f"CREATE TRIGGER {name} AFTER UPDATE ON downloads_job BEGIN SELECT 1; END"
            )
        else:
            cursor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
            )
            cursor.execute(
                f"CREATE TRIGGER {name} AFTER UPDATE ON downloads_job FOR EACH ROW EXECUTE FUNCTION {name}()"
            )
    assert not triggers.are_there()
    triggers.ensure()
    assert triggers.are_there()


class Holding(threading.Thread):
    """A transaction of somebody else that has written and not yet committed."""

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(daemon=True)
        self.job, self.new_name = job, name
        self.wrote, self.go_on = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            with transaction.atomic():
                Job.objects.filter(pk=self.job.pk).update(name=self.new_name)
                self.wrote.set()
                self.go_on.wait(60)
        finally:
            connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_commits_late_is_not_lost():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    late, other = JobFactory(name="late"), JobFactory(name="other")
    holding = Holding(late, "late, committed")
    holding.start()
    assert holding.wrote.wait(60)
    start = changes.mark()
    Job.objects.filter(pk=other.pk).update(name="other, committed")
    with changes.snapshot():
        mark = changes.mark()
        assert list(since(start).jobs) == [other.pk]
    holding.go_on.set()
    holding.join(60)
    assert list(since(mark).jobs) == [late.pk], "though its row has a lower number"
    with changes.snapshot():
        assert since(changes.mark()).jobs == {}


@pytest.mark.django_db(transaction=True)
def test_within_a_snapshot_nothing_changes():
    job = JobFactory(name="before")
    done = threading.Event()

    def write() -> None:
        Job.objects.filter(pk=job.pk).update(name="after")
        connection.close()
        done.set()

    with changes.snapshot():
        mark = changes.mark()
        threading.Thread(target=write, daemon=True).start()
        assert done.wait(60), "reading holds up nobody who writes"
        assert [row.name for row in rows.fetch()] == ["before"]
        assert changes.mark().last == mark.last
    assert [row.name for row in rows.fetch()] == ["after"]
    assert since(mark).jobs.keys() == {job.pk}
    assert Change.objects.filter(kind=ChangeKind.JOB).exists()
