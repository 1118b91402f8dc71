"""A real qBittorrent, 4.x or 5.x, through its Web API.

What is added carries a tag, and only what carries it is ever deleted: a torrent that was there before is followed,
but belongs to somebody else. A hybrid torrent is listed by qBittorrent under its v2 hash cut to 40 digits, and one
that came as a v1 magnet changes to that hash when its metadata arrives; so whatever is not found under its id is
looked for by its v1 hash.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import qbittorrentapi
import requests
from qbittorrentapi.exceptions import (
    APIConnectionError,
    APIError,
    Conflict409Error,
    Forbidden403Error,
    HTTP4XXError,
    HTTPError,
    LoginFailed,
    NotFound404Error,
    Unauthorized401Error,
    UnsupportedMediaType415Error,
)

from anibridge.lib import http
from anibridge.lib.guard import AllowedHosts, default_allowed
from anibridge.lib.text import shorten
from anibridge.lib.transport import GuardedAdapter
from downloads.downloaders import base
from downloads.downloaders.base import (
    Answer,
    Content,
    Item,
    LoginRefused,
    NoAnswer,
    Place,
    Report,
    State,
)

logger = logging.getLogger(__name__)

TAG = "anibridge"
TIMEOUT = 15.0
SETTLE_SECONDS = 3.0
"""How long a torrent may take to be listed after it was added; measured on 4.5.2: under 0.1 s."""
UNKNOWN_ETA = 8_640_000
MAX_NAME = 4000
MAX_LIMIT = 2**31 - 1
"""What it can count to; more is as good as no limit."""

STATES: dict[str, State] = {
    "downloading": State.DOWNLOADING,
    "forcedDL": State.DOWNLOADING,
    "stalledDL": State.DOWNLOADING,
    "metaDL": State.DOWNLOADING,
    "forcedMetaDL": State.DOWNLOADING,
    "allocating": State.DOWNLOADING,
    # Between two folders: not in place before it is done.
    "moving": State.DOWNLOADING,
    "queuedDL": State.QUEUED,
    "checkingDL": State.CHECKING,
    "checkingUP": State.CHECKING,
    "checkingResumeData": State.CHECKING,
    "queuedForChecking": State.CHECKING,
    "pausedDL": State.PAUSED,
    "stoppedDL": State.PAUSED,
    "uploading": State.COMPLETED,
    "forcedUP": State.COMPLETED,
    "stalledUP": State.COMPLETED,
    "queuedUP": State.COMPLETED,
    "pausedUP": State.COMPLETED,
    "stoppedUP": State.COMPLETED,
    "error": State.ERROR,
    "missingFiles": State.ERROR,
}
REASONS = {
    "error": "it stopped with an error, for example since the disk is full or the folder cannot be written",
    "missingFiles": "the files are missing where it had put them",
}
_LAYOUTS: dict[str, Literal["Subfolder", "NoSubfolder"]] = {
    "always": "Subfolder",
    "never": "NoSubfolder",
}
"""What was not asked for is left to its own preferences."""
_CATEGORY = re.compile(r"[^/\\]+(/[^/\\]+)*")

_sessions: dict[Place, dict[str, str]] = {}
"""The cookies of the last conversation, so that a process logs in once and not for every question."""


class _Client(qbittorrentapi.Client):
    """The client over guarded connections: no proxy, no retries of its own, no redirects."""

    def __init__(self, place: Place) -> None:
        self._allowed = default_allowed() + AllowedHosts.parse([place.base_url])
        self._cookies = _sessions.get(place, {})
        super().__init__(
            host=place.base_url,
            username=place.username,
            password=place.secret,
            FORCE_SCHEME_FROM_HOST=True,
            REQUESTS_ARGS={"timeout": (5.0, TIMEOUT), "allow_redirects": False},
            SIMPLE_RESPONSES=True,
            DISABLE_LOGGING_DEBUG_OUTPUT=True,
        )

    @property
    def _session(self) -> Any:
        if self._http_session is None:
            session = super()._session
            session.trust_env = False
            session.headers["User-Agent"] = http.user_agent()
            for scheme in ("http://", "https://"):
                session.mount(scheme, GuardedAdapter(self._allowed))
            session.cookies.update(self._cookies)
        return self._http_session

    def auth_log_in(self, *args: Any, **kwargs: Any) -> None:
        self._cookies = {}  # the ones that were just refused
        super().auth_log_in(*args, **kwargs)

    @staticmethod
    def _handle_error_responses(
        data: Mapping[str, Any], params: Mapping[str, Any], response: requests.Response
    ) -> None:
        if response.is_redirect:
            raise HTTPError("it redirects; give the address that it redirects to")
        qbittorrentapi.Client._handle_error_responses(data, params, response)


class QBittorrent:
    """One conversation with a qBittorrent."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._client = _Client(place)

    def submit(self, items: Sequence[Item]) -> Mapping[str, Answer]:
        """Add each; what is listed afterwards was taken, whatever was said: «Fails.» also means «is there already»."""
        said: dict[str, str] = {}
        try:
            for item in items:
                with self._speaking():
                    said[item.key] = self._add(item)
            listed = self._settled(items, said)
        except base.NotReached as error:
            if not said:
                raise
            raise NoAnswer(f"{error}, in the middle of a batch") from error
        answers: dict[str, Answer] = {}
        for item in items:
            found = next((listed[one] for one in item.ids if one in listed), None)
            if found is not None:
                answers[item.key] = Answer(remote_id=found)
            elif said[item.key]:
                answers[item.key] = Answer(refusal=said[item.key])
        return answers

    def _add(self, item: Item) -> str:
        """Empty when it was taken, or why it was not."""
        source: dict[str, Any] = (
            {"torrent_files": item.torrent} if item.torrent else {"urls": item.url}
        )
        category = item.category if _CATEGORY.fullmatch(item.category) else None
        try:
            said = self._client.torrents_add(
                **source,
                save_path=item.save_path or None,
                category=category,
                tags=[TAG],
                is_paused=False,
                use_auto_torrent_management=False,
                content_layout=_LAYOUTS.get(item.subfolder),
                download_limit=None if item.rate_limit is None else min(item.rate_limit, MAX_LIMIT),
            )
        except UnsupportedMediaType415Error:
            return "it says that this is no valid torrent"
        except Conflict409Error as error:
            return shorten(str(error), 200) or "it does not take this"
        return "it does not take this" if said == "Fails." else ""

    def _settled(self, items: Sequence[Item], said: Mapping[str, str]) -> dict[str, str]:
        """From each hash that is listed to the id under which it is; waits a little for what was just taken."""
        ids = [one for item in items for one in item.ids]
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            rows = self._rows(ids)
            found = {asked: str(row["hash"]) for asked, row in rows.items()}
            taken = [item for item in items if not said[item.key]]
            missing = [item for item in taken if not any(one in found for one in item.ids)]
            if not missing or time.monotonic() >= until:
                return found
            http.pause(0.1)

    def status(self, ids: Sequence[str]) -> Mapping[str, Report]:
        rows = self._rows(ids)
        return {one: self._report(rows[one]) if one in rows else base.NOT_FOUND for one in ids}

    def _rows(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The listed torrents, by the id that was asked for; by their v1 hash where that is another one by now."""
        if not ids:
            return {}
        with self._speaking():
            listed = _torrents(self._client.torrents_info(torrent_hashes=list(ids)))
            rows = {row["hash"].lower(): row for row in listed}
            found = {one: rows[one.lower()] for one in ids if one.lower() in rows}
            if len(found) < len(set(ids)):
                everything = _torrents(self._client.torrents_info())
                by_v1 = {str(row.get("infohash_v1") or "").lower(): row for row in everything}
                found |= {
                    one: by_v1[one.lower()]
                    for one in ids
                    if one not in found and one.lower() in by_v1
                }
        return found

    def _report(self, row: Mapping[str, Any]) -> Report:
        word = str(row.get("state", ""))
        state = STATES.get(word, State.UNKNOWN)
        eta = base.count(row.get("eta"))
        contents = self._files(str(row["hash"])) if state is State.COMPLETED else ()
        return Report(
            state=state,
            progress=base.fraction(row.get("progress")),
            size=base.count(row.get("size")) or None,
            downloaded=base.count(row.get("completed")),
            speed=base.count(row.get("dlspeed")),
            eta=None if eta is None or eta >= UNKNOWN_ETA else eta,
            name=shorten(str(row.get("name", "")), 255),
            content_path=str(row.get("content_path") or ""),
            save_path=str(row.get("save_path") or ""),
            files=tuple(file.name for file in contents if file.priority),
            contents=contents,
            reason=REASONS.get(word, ""),
        )

    def contents(self, remote_id: str) -> Sequence[Content]:
        found = self._files(remote_id)
        if not found:  # it may be listed under another hash by now
            others = [one for one in self._now(remote_id) if one.lower() != remote_id.lower()]
            found = next((files for one in others if (files := self._files(one))), ())
        return found

    def _files(self, infohash: str) -> tuple[Content, ...]:
        with self._speaking():
            try:
                files = self._client.torrents_files(torrent_hash=infohash)
            except NotFound404Error:  # deleted since it was listed
                return ()
            return tuple(
                Content(
                    name=shorten(str(file["name"]), MAX_NAME),
                    size=base.count(file.get("size")) or 0,
                    progress=base.fraction(file.get("progress")),
                    priority=base.count(file.get("priority", 1), most=7) or 0,
                )
                for file in files[: base.MAX_FILES]
                if isinstance(file, dict) and isinstance(file.get("name"), str)
            )

    def pause(self, remote_id: str) -> None:
        for one in self._now(remote_id):
            with self._speaking():
                self._client.torrents_stop(torrent_hashes=one)

    def resume(self, remote_id: str) -> None:
        for one in self._now(remote_id):
            with self._speaking():
                self._client.torrents_start(torrent_hashes=one)

    def limit(self, remote_id: str, rate_limit: int | None) -> bool:
        limit = min(rate_limit or 0, MAX_LIMIT)
        for one in self._now(remote_id):
            with self._speaking():
                self._client.torrents_set_download_limit(limit=limit, torrent_hashes=one)
        return True

    def cancel(self, ids: Sequence[str]) -> Mapping[str, bool]:
        self._remove(ids, delete_files=True)
        return dict.fromkeys(ids, True)

    def delete(self, remote_id: str, *, delete_files: bool) -> None:
        self._remove([remote_id], delete_files=delete_files)

    def _now(self, remote_id: str) -> list[str]:
        return [str(row["hash"]) for row in self._rows([remote_id]).values()]

    def _remove(self, ids: Sequence[str], *, delete_files: bool) -> None:
        ours = []
        for row in self._rows(ids).values():
            if TAG in re.split(r",\s*", str(row.get("tags") or "")):
                ours.append(str(row["hash"]))
            else:
                logger.info("%s: %s is not ours and stays", self.place.name, row["hash"])
        if ours:
            with self._speaking():
                self._client.torrents_delete(delete_files=delete_files, torrent_hashes=ours)

    def health(self) -> str:
        with self._speaking():
            version = self._client.app_version()
            return (
                f"qBittorrent {shorten(version, 30)}, Web API {self._client.app_web_api_version()}"
            )

    def close(self) -> None:
        session = self._client._http_session
        if session is not None:
            _sessions[self.place] = dict(session.cookies)
        self._client._trigger_session_initialization()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        with base.spoken_to(self.place):
            try:
                yield
            except (HTTPError, LoginFailed) as error:
                raise _meaning(error) from error
            except APIConnectionError as error:
                # The client words over what happened; what it came from says more.
                raise (error.__context__ or error) from None
            except (APIError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise NoAnswer("it does not answer as a qBittorrent does") from error


def _torrents(listed: Any) -> list[dict[str, Any]]:
    if not isinstance(listed, list):
        raise TypeError("no list of torrents")
    return [row for row in listed if isinstance(row, dict) and isinstance(row.get("hash"), str)]


def _meaning(error: Exception) -> base.DownloaderAway:
    if isinstance(error, LoginFailed):
        return LoginRefused("it does not accept the user name and password")
    if isinstance(error, Forbidden403Error | Unauthorized401Error):
        text = shorten(str(error), 150)
        return LoginRefused(f"it lets nobody in from here ({text or 'no reason given'})")
    if isinstance(error, HTTP4XXError):
        return base.NotReached(f"it refuses the request: {shorten(str(error), 150)}")
    return NoAnswer(f"it has a problem of its own: {shorten(str(error), 150)}")
