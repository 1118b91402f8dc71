"""A client of `sync/maindata` that keeps what it is told."""

import time
from typing import Any

from django.http import HttpResponse

from tests.qbshim.conftest import Caller


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


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now
