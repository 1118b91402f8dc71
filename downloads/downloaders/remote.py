"""Any service that speaks the batch protocol (docs/downloaders.md).

    POST   {endpoint}                  {"items": [{"url", "save_path"}]} → {"results": [{"url", "hash", "status", "reason"}]}
    GET    {endpoint}?hashes=a,b       → {"statuses": [{"hash", "status", "progress", "size", "content_path", "files"}]}
    POST   {endpoint}/cancel           {"hashes": […]} → {"results": [{"hash", "status"}]}
    POST   {endpoint}/{hash}/pause|resume
    POST   {endpoint}/{hash}/limit     {"rate_limit": bytes a second, or null}; optional
    DELETE {endpoint}/{hash}?delete_files=true|false
    GET    /health

Services differ: some say «failed» for «rejected», answer a link that they have already with its status, leave out
what they do not know, give no hash or one in capitals. Results are matched by link and by hash, never by position;
a word that nobody has defined means that we do not know, and then the service is asked again.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from anibridge.lib import http
from anibridge.lib.text import shorten
from downloads.downloaders import base
from downloads.downloaders.base import (
    Answer,
    BatchRefused,
    Content,
    Item,
    LoginRefused,
    NoAnswer,
    NotReached,
    Place,
    Report,
    State,
)

SEND_TIMEOUT, ASK_TIMEOUT = 30.0, 10.0
MAX_ANSWER = 8 * 2**20
MAX_QUERY = 4_000
"""Characters of hashes in one request: many servers refuse a request line of more than 8,000."""

TAKEN = frozenset(
    {"accepted", "success", "ok", "queued", "pending", "downloading", "completed", "paused"}
)
"""A link that is known already is answered with its status; that is no refusal."""
REFUSED = frozenset({"rejected", "failed", "error", "unsupported"})
STATES: dict[str, State] = {
    "queued": State.QUEUED,
    "pending": State.QUEUED,
    "downloading": State.DOWNLOADING,
    "moving": State.DOWNLOADING,
    "checking": State.CHECKING,
    "paused": State.PAUSED,
    "stopped": State.PAUSED,
    "completed": State.COMPLETED,
    "finished": State.COMPLETED,
    "seeding": State.COMPLETED,
    "error": State.ERROR,
    "failed": State.ERROR,
    "not_found": State.NOT_FOUND,
}
GONE = frozenset({"cancelled", "canceled", "deleted", "removed", "not_found", "ok", "success"})
NO_SUCH_COMMAND = frozenset({400, 404, 405, 422, 501})
_ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")


class Remote:
    """One conversation with a service."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._base = place.base_url.rstrip("/")
        self._session = http.session(trusted=[place.base_url])

    def submit(self, items: Sequence[Item]) -> Mapping[str, Answer]:
        by_url: dict[str, list[Item]] = {}
        answers: dict[str, Answer] = {}
        for item in items:
            if item.url:
                by_url.setdefault(item.url, []).append(item)
            else:
                answers[item.key] = Answer(refusal="a private torrent's file is no link to give")
        asked = [{"url": url, "save_path": group[0].save_path} for url, group in by_url.items()]
        if not asked:
            return answers
        body = self._json("POST", "", {"items": asked}, timeout=SEND_TIMEOUT)
        for result in _rows(body, "results"):
            for item in by_url.pop(str(result.get("url", "")).strip(), []):
                answer = _answer(result, item)
                if answer is not None:
                    answers[item.key] = answer
        return answers

    def status(self, ids: Sequence[str]) -> Mapping[str, Report]:
        reports: dict[str, Report] = {}
        for page in _pages(ids):
            hashes = quote(",".join(page), safe=",")
            body = self._json("GET", f"?hashes={hashes}", None, timeout=ASK_TIMEOUT)
            rows = {str(row.get("hash", "")).lower(): row for row in _rows(body, "statuses")}
            for one in page:
                row = rows.get(one.lower())
                reports[one] = base.NOT_FOUND if row is None else _report(row)
        return reports

    def pause(self, remote_id: str) -> None:
        self._command("POST", f"/{quote(remote_id, safe='')}/pause")

    def resume(self, remote_id: str) -> None:
        self._command("POST", f"/{quote(remote_id, safe='')}/resume")

    def limit(self, remote_id: str, rate_limit: int | None) -> bool:
        """Whoever speaks an older form of the protocol answers that there is no such address, or no such command."""
        path = f"/{quote(remote_id, safe='')}/limit"
        answer = self._ask("POST", self._url(path), {"rate_limit": rate_limit}, timeout=ASK_TIMEOUT)
        if answer.status in NO_SUCH_COMMAND:
            return False
        if not answer.ok:
            raise _refused(answer)
        return True

    def contents(self, remote_id: str) -> Sequence[Content]:
        return ()

    def cancel(self, ids: Sequence[str]) -> Mapping[str, bool]:
        gone: dict[str, bool] = dict.fromkeys(ids, False)
        body = self._json("POST", "/cancel", {"hashes": list(ids)}, timeout=SEND_TIMEOUT)
        said = {
            str(row.get("hash", "")).lower(): _word(row.get("status"))
            for row in _rows(body, "results")
        }
        return {one: said.get(one.lower()) in GONE for one in gone}

    def delete(self, remote_id: str, *, delete_files: bool) -> None:
        flag = "true" if delete_files else "false"
        self._command("DELETE", f"/{quote(remote_id, safe='')}?delete_files={flag}")

    def health(self) -> str:
        answer = self._ask("GET", f"{self._base}/health", None, timeout=ASK_TIMEOUT)
        if not answer.ok:
            raise _refused(answer)
        return shorten(answer.text, 200) or "it answers"

    def close(self) -> None:
        self._session.close()

    def _command(self, method: str, path: str) -> None:
        answer = self._ask(method, self._url(path), None, timeout=ASK_TIMEOUT)
        if not answer.ok and answer.status != 404:
            raise _refused(answer)

    def _json(self, method: str, path: str, body: object, *, timeout: float) -> dict[str, Any]:
        answer = self._ask(method, self._url(path), body, timeout=timeout)
        if not answer.ok:
            raise _refused(answer)
        try:
            parsed = json.loads(answer.body)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise NoAnswer("it answered something else than a JSON object")
        return parsed

    def _ask(self, method: str, url: str, body: object, *, timeout: float) -> http.Fetched:
        headers = {"Accept": "application/json"}
        if self.place.secret:
            headers["X-Api-Key"] = self.place.secret
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        with base.spoken_to(self.place):
            return http.fetch(
                url,
                session=self._session,
                method=method,
                headers=headers,
                data=data,
                timeout=timeout,
                max_bytes=MAX_ANSWER,
                follow=False,
            )

    def _url(self, path: str) -> str:
        return f"{self._base}/{self.place.endpoint.strip('/')}{path}"


def _refused(answer: http.Fetched) -> base.DownloaderAway:
    """What an answer that is no success means for whether the request was carried out: refused or «not available» it
    was not; after any other trouble of its own it may have been."""
    said = f"it answered {answer.status}"
    if 300 <= answer.status < 400:
        to = urlsplit(answer.headers.get("location", "")).hostname or "another address"
        return NotReached(f"it redirects to {shorten(to, 100)}; register the address itself")
    if answer.status in (401, 403):
        return LoginRefused(f"{said}: it does not accept the key")
    if answer.status in (400, 413, 422):
        return BatchRefused(f"{said}: it does not take such a batch")
    if answer.status == 503 or 400 <= answer.status < 500:
        why = "it is not available" if answer.status == 503 else "it does not take such a request"
        return NotReached(f"{said}: {why}")
    return NoAnswer(said)


def _answer(result: Mapping[str, Any], item: Item) -> Answer | None:
    """What one result says; None where it cannot be told whether the link was taken."""
    word = _word(result.get("status"))
    if word in REFUSED:
        return Answer(refusal=shorten(str(result.get("reason") or "it gave no reason"), 300))
    if word not in TAKEN:
        return None
    given = result.get("hash")
    if isinstance(given, str) and _ID.fullmatch(given.strip()):
        return Answer(remote_id=given.strip())
    if item.ids:
        return Answer(remote_id=item.ids[0])
    return Answer(refusal="it took the link but gave no hash, so nobody could ask how it goes")


def _report(row: Mapping[str, Any]) -> Report:
    files = row.get("files")
    listed = files[: base.MAX_FILES] if isinstance(files, list) else []
    eta = base.count(row.get("eta"))
    return Report(
        state=STATES.get(_word(row.get("status")), State.UNKNOWN),
        progress=base.fraction(row.get("progress")),
        size=base.count(row.get("size")) or None,
        downloaded=base.count(row.get("downloaded")),
        speed=base.count(row.get("speed")),
        eta=None if eta is None or eta >= base.LONGEST_ETA else eta,
        name=_text(row.get("name"), 255),
        content_path=_text(row.get("content_path"), 4000),
        save_path=_text(row.get("save_path"), 4000),
        files=tuple(file for file in listed if isinstance(file, str) and len(file) <= 4000),
        reason=shorten(_text(row.get("reason"), 4000)),
    )


def _text(value: object, limit: int) -> str:
    return value if isinstance(value, str) and len(value) <= limit else ""


def _word(value: object) -> str:
    """A status without what some append to it: «failed: 404» is «failed»."""
    return re.split(r"[:\s]", str(value).strip().lower(), maxsplit=1)[0]


def _rows(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    rows = body.get(key)
    if not isinstance(rows, list):
        raise NoAnswer(f"its answer has no list of {key}")
    return [row for row in rows if isinstance(row, dict)]


def _pages(ids: Sequence[str]) -> Iterator[list[str]]:
    """At most MAX_BATCH hashes and MAX_QUERY characters in one request."""
    page: list[str] = []
    size = 0
    for one in ids:
        if page and (len(page) >= base.MAX_BATCH or size + len(one) + 1 > MAX_QUERY):
            yield page
            page, size = [], 0
        page.append(one)
        size += len(one) + 1
    if page:
        yield page
