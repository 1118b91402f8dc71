"""`sync/maindata`: everything at first, then only what has changed.

Each answer that says something has a number (`rid`) of its own within a session, from 1 to 1,000,000 and round again;
one that says nothing new has the number of the last. A client says the number of the answer that it has; what that one held is known from its SyncPoint and the change log, so whichever web
process is asked, and however many clients share a session, each is told exactly the difference. A number that is not
known (any more) leads to the whole.
"""

import copy
import hashlib
import json
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from anibridge.lib.prepared import sql_of
from downloads.models import JobStatus
from qbshim import categories as category_cases
from qbshim import changes, order, rendering, rows, serializers, server, tags
from qbshim.changes import Changes, Mark
from qbshim.models import ClientSession, SyncPoint
from qbshim.order import Place
from qbshim.rows import Row

RID_WRAPS_AT: Final = 1_000_000
REMEMBERED: Final = 16
"""Answers of one session that a client may still have as its last one."""
AT_HAND: Final = 64
"""Answers of all sessions that a process need not ask the database for."""
_COMPLETED = JobStatus.COMPLETED.value
_STATUS, _HASH, _SITE = (rows.FIELDS.index(name) for name in ("status", "infohash", "source_site"))


def answer(session: ClientSession, rid: int) -> str:
    """What the client that has answer `rid` of this session is to be told; 0 for none. JSON."""
    try:
        return _answer(session, rid)
    except SyncPoint.DoesNotExist:
        # So many others asked with the same session meanwhile that what it has is forgotten.
        return _answer(session, 0)


def _answer(session: ClientSession, rid: int) -> str:
    point = _point(session, rid)
    now = time.time()
    mark, data, torrents = _told(point, now)
    if point is not None and not data.told and now - point.at < changes.VALID_SECONDS / 2:
        # It has everything: the number of its last answer will do for this one, and nothing has to be written.
        return rendering.encode({"rid": point.rid})
    labels = point.labels if data.labels is None and point is not None else data.labels
    point = SyncPoint(mark=mark.stored(), at=now, labels=labels, state=data.state)
    data.told["rid"] = _keep(session, point)
    text = rendering.encode(data.told)
    return f'{text[:-1]},"torrents":{torrents}}}' if torrents else text


def _told(point: SyncPoint | None, now: float) -> tuple[Mark, "Answer", str]:
    """What a client with this point is to be told, at which mark, and all torrents as text where it is everything."""
    if point is not None:
        mark, found = changes.since(Mark(*point.mark))
        # After a reset what the log has of jobs may be of other columns: nobody can read it.
        before = _jobs_before(found) if found.only_jobs else {}
        if found.only_jobs and not _moved_between_categories(before, found.current):
            return mark, _difference(point, found, before, now), ""
    # What else is read must be of the same moment.
    with changes.snapshot():
        if point is None:
            return changes.mark(), *_whole(now)
        mark, found = changes.since(Mark(*point.mark))
        if found.reset:
            return mark, *_whole(now)
        return mark, _difference(point, found, _jobs_before(found), now), ""


@dataclass(slots=True)
class Answer:
    """What is told, and what the client then knows of labels and the server."""

    told: dict[str, Any]
    labels: dict[str, Any] | None
    """None: what it knew before."""
    state: dict[str, Any]


def _point(session: ClientSession, rid: int) -> SyncPoint | None:
    if rid <= 0 or not changes.are_kept():
        return None
    oldest = time.time() - changes.VALID_SECONDS
    remembered = points.get(session, rid)
    if remembered is not None and remembered.dialect == dialect():
        return remembered if remembered.at >= oldest else None
    # The newest: the numbers go round.
    found = SyncPoint.objects.raw(_newest(), [session.pk, rid, dialect(), oldest])
    point = next(iter(found), None)
    if point is not None:
        points.put(session, point)
    return point


@lru_cache(maxsize=1)
def _newest() -> str:
    """SQL for a point by session, number and dialect, not older than a moment. Its labels are read when they are needed:
    they are long, and seldom change."""
    of_session = (
        SyncPoint.objects.defer("labels").filter(session=0).filter(rid=0).filter(dialect="")
    )
    return sql_of(of_session.filter(at__gte=0.0).order_by("-id")[:1])[0]


class _Points:
    """The points that this process wrote or read last. Their rows never change, so what is here is as good as they are.

    By the session's digest and birth, too: a database that was put back may give its number to another one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Any, ...], SyncPoint] = OrderedDict()

    def get(self, session: ClientSession, rid: int) -> SyncPoint | None:
        """The point of this number, if it is here."""
        with self._lock:
            return self._known.get(self._key(session, rid))

    def put(self, session: ClientSession, point: SyncPoint) -> None:
        """Here it is; the oldest one goes for it."""
        with self._lock:
            key = self._key(session, point.rid)
            self._known[key] = point
            self._known.move_to_end(key)
            while len(self._known) > AT_HAND:
                self._known.popitem(last=False)

    def forget(self) -> None:
        """All of them."""
        with self._lock:
            self._known.clear()

    @staticmethod
    def _key(session: ClientSession, rid: int) -> tuple[Any, ...]:
        return session.key, session.created_at, rid


points = _Points()


def dialect() -> str:
    """What makes the same job look otherwise to a client: another version, or another public folder.

    An answer in another dialect is none that a difference could be told to.
    """
    told = repr((settings.VERSION, settings.QBIT_PUBLIC_SAVE_PATH, str(settings.DOWNLOAD_DIR)))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


def _keep(session: ClientSession, point: SyncPoint) -> int:
    """Keep what was answered under a number of its own; returns that."""
    point.session, point.dialect = session, dialect()
    rid = _kept_at_once(point) if connection.vendor == "postgresql" else _kept(point)
    if rid is None:  # the session was ended in this very moment
        return 1
    if rid % REMEMBERED == 1:
        newest = session.points.order_by("-id").values_list("pk", flat=True)[:REMEMBERED]
        session.points.exclude(pk__in=list(newest)).delete()
    point.rid = rid
    points.put(session, point)
    return rid


_NEXT_RID: Final = (
    f"UPDATE {ClientSession._meta.db_table} SET last_rid = last_rid %% {RID_WRAPS_AT} + 1 "  # noqa: S608
    "WHERE id = %s RETURNING last_rid"
)
"""One statement, so two answers at once never get the same number."""


def _kept(point: SyncPoint) -> int | None:
    # One transaction, so that an answer waits for its turn to write once.
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_NEXT_RID, [point.session_id])
            row = cursor.fetchone()
        if row is None:
            return None
        point.rid = row[0]
        point.save(force_insert=True)
    return point.rid


def _kept_at_once(point: SyncPoint) -> int | None:
    """The same in one statement, which SQLite does not know."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH numbered AS ({_NEXT_RID}) INSERT INTO {SyncPoint._meta.db_table} "  # noqa: S608
            "(session_id, rid, dialect, mark, at, labels, state) "
            "SELECT %s, last_rid, %s, %s::jsonb, %s, %s::jsonb, %s::jsonb FROM numbered "
            "RETURNING rid",
            [
                point.session_id,
                point.session_id,
                point.dialect,
                json.dumps(point.mark),
                point.at,
                json.dumps(point.labels),
                json.dumps(point.state),
            ],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def _whole(now: float) -> tuple[Answer, str]:
    """Everything, the torrents as text. Empty maps and lists are there too: clients written for 4.x expect them."""
    found = rows.fetch_values()
    unfinished = [rows.of(values) for values in found if values[_STATUS] != _COMPLETED]
    places = order.ranks(sorted(place for row in unfinished if (place := order.place_of(row))))
    labels, state = _labels(), server.state(speed=server.speed(unfinished, now))
    trackers = {
        serializers.tracker_url(values[_SITE], values[_HASH]): [values[_HASH]] for values in found
    }
    told = {**labels, "full_update": True, "server_state": state, "trackers": trackers}
    return Answer(told, labels, state), rendering.by_hash(found, places, now)


def _labels() -> dict[str, Any]:
    return {
        "categories": serializers.categories(category_cases.listed()),
        "tags": tags.names(),
    }


def _difference(
    point: SyncPoint, found: Changes, before: Mapping[int, Row | None], now: float
) -> Answer:
    """What a client with this point has not been told. Empty parts are left out."""
    current = found.current
    data: dict[str, Any] = {}
    _put_torrents(data, before, current, point.at, now)
    if found.reorders:
        _put_places(data, before, current)
    labels: dict[str, Any] | None = None
    if found.labels or _moved_between_categories(before, current):
        labels = _labels()
        _put_labels(data, point.labels, labels)
    speed = server.speed(current.values(), now)
    state = {**point.state, **server.moving_parts(speed)}
    if found.settings:
        state = server.state(speed=speed)
    changed = {key: value for key, value in state.items() if point.state.get(key) != value}
    if changed:
        data["server_state"] = changed
    return Answer(data, labels, state)


def _jobs_before(found: Changes) -> dict[int, Row | None]:
    """The jobs that changed as the client was told of them."""
    ids = found.jobs.keys() | found.tasks.keys()
    return {job_id: _before(job_id, found, found.current) for job_id in ids}


def _before(job_id: int, found: Changes, current: Mapping[int, Row]) -> Row | None:
    """A job as the client was told of it; None when it was not there."""
    here = current.get(job_id)
    if job_id in found.jobs:
        old = found.jobs[job_id]
        if old is None:
            return None
        row = Row.before(old)
        if here is not None:
            row.task_as_of(here)
    elif here is not None:
        row = copy.copy(here)
    else:
        return None
    if job_id in found.tasks:
        row.task_before(found.tasks[job_id])
    return row


def _put_torrents(
    data: dict[str, Any],
    before: Mapping[int, Row | None],
    current: Mapping[int, Row],
    then: float,
    now: float,
) -> None:
    # By hash: one that was deleted and added again is the same torrent to a client.
    old: dict[str, dict[str, Any]] = {}
    new: dict[str, dict[str, Any]] = {}
    for job_id in before.keys() | current.keys():
        was, here = before.get(job_id, current.get(job_id)), current.get(job_id)
        if was is not None and was.removed_at is None:
            old[was.infohash] = serializers.info(was, now=then, priority=0)
        if here is not None and here.removed_at is None:
            new[here.infohash] = serializers.info(here, now=now, priority=0)
    torrents: dict[str, dict[str, Any]] = {}
    for infohash, item in new.items():
        known = old.get(infohash, {})
        changed = {key: value for key, value in item.items() if known.get(key, ...) != value}
        changed.pop("hash", None)
        if changed:
            torrents[infohash] = changed
    _put(data, "torrents", torrents, [infohash for infohash in old if infohash not in new])
    were = {item["tracker"]: infohash for infohash, item in old.items()}
    are = {item["tracker"]: infohash for infohash, item in new.items()}
    _put(
        data,
        "trackers",
        {tracker: [infohash] for tracker, infohash in are.items() if tracker not in were},
        [tracker for tracker in were if tracker not in are],
    )


def _put_places(
    data: dict[str, Any], before: Mapping[int, Row | None], current: Mapping[int, Row]
) -> None:
    """When one comes or goes, all behind it have another place."""
    now = order.read()
    then = [place for place in now if place.pk not in before]
    then += [place for row in before.values() if (place := order.place_of(row))]
    new, known = _numbers(now), _numbers(sorted(then))
    torrents = data.setdefault("torrents", {})
    for infohash, number in new.items():
        if known.get(infohash) != number:
            torrents.setdefault(infohash, {})["priority"] = number
    here = {row.infohash for row in current.values() if row.removed_at is None}
    for infohash in (known.keys() - new.keys()) & here:
        torrents.setdefault(infohash, {})["priority"] = 0
    if not torrents:
        del data["torrents"]


def _numbers(places: list[Place]) -> dict[str, int]:
    return {place.infohash: number for number, place in enumerate(places, 1)}


def _moved_between_categories(before: Mapping[int, Row | None], current: Mapping[int, Row]) -> bool:
    """Whether a category may be there that nobody made, or be gone, since jobs lie in it or do so no longer."""
    counts: defaultdict[str, int] = defaultdict(int)
    for job_id, was in before.items():
        here = current.get(job_id)
        if was is not None and was.removed_at is None:
            counts[was.category] -= 1
        if here is not None and here.removed_at is None:
            counts[here.category] += 1
    return any(count for category, count in counts.items() if category)


def _put_labels(data: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    known: Mapping[str, Mapping[str, Any]] = old["categories"]
    changed = {}
    for name, category in new["categories"].items():
        had = known.get(name, {})
        if difference := {key: value for key, value in category.items() if had.get(key) != value}:
            changed[name] = difference
    _put(data, "categories", changed, [name for name in known if name not in new["categories"]])
    had_tags, tags_now = set(old["tags"]), set(new["tags"])
    _put(data, "tags", sorted(tags_now - had_tags), sorted(had_tags - tags_now))


def _put(data: dict[str, Any], name: str, changed: Any, gone: list[str]) -> None:
    if changed:
        data[name] = changed
    if gone:
        data[f"{name}_removed"] = gone


def forget_old(now: float) -> None:
    """Delete what no client can refer to any more."""
    SyncPoint.objects.filter(at__lt=now - changes.VALID_SECONDS).delete()
