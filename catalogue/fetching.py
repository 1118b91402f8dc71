"""Asking a site: base URL and mirrors, the guard, the time-out; the adapter reads what comes back.

No database in here: a client is made from a Site row and then used in any thread.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from anibridge.lib import http
from catalogue.errors import IndexUnchanged, LayoutChanged, NotFound, SiteError, SiteUnavailable
from catalogue.models import Site
from catalogue.sites import get_adapter
from catalogue.sites.base import (
    Answer,
    EpisodeFacts,
    EpisodePage,
    HostLink,
    SiteAdapter,
    TitleFacts,
)

T = TypeVar("T")
PAGE_BYTES = 8 * 2**20
INDEX_BYTES = 64 * 2**20
INDEX_SECONDS = 120.0
INDEX_SILENCE = 30.0
"""A site makes its index for a while before the first byte comes."""
BLOCK = 64 * 1024


@dataclass(frozen=True)
class SiteClient:
    """One site as it can be asked right now. Usable in any thread; keeps nothing open between calls.

    Every call raises SiteError, NotFound, or UnsafeSlug before anything is asked; nothing else is expected.
    """

    site_id: str
    adapter: SiteAdapter
    base_urls: tuple[str, ...]
    timeout: float
    languages: tuple[str, ...]
    _spelling: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    """Base URL → which of a page's paths the site last had a page at; a race costs one more request."""

    def title(self, slug: str) -> TitleFacts:
        """What the series page says."""
        adapter = self.adapter
        return self._read(adapter.title_path(adapter.check_slug(slug)), adapter.parse_title)

    def season(self, slug: str, season: int) -> tuple[EpisodeFacts, ...]:
        """The episodes of a season; raises NotFound when the site has no such season."""
        adapter = self.adapter
        return self._read(
            adapter.season_path(adapter.check_slug(slug), season),
            lambda answer: adapter.parse_season(answer, season),
        )

    def episode(self, slug: str, season: int, episode: int) -> EpisodePage:
        """The ways to play an episode; raises NotFound when the site has no such episode."""
        adapter = self.adapter
        return self._read(
            adapter.episode_path(adapter.check_slug(slug), season, episode),
            lambda answer: adapter.parse_episode(answer, season=season, episode=episode),
        )

    def host_url(self, link: HostLink) -> str:
        """Where a play link leads: the host's page. The redirect itself is not followed."""
        if self.adapter.links_are_direct:
            return link.path

        def read(base: str) -> str:
            return self.adapter.read_play_link(self._fetch(base, link.path, follow=False), base)

        return self._try_each(read)

    def index(
        self,
        read: Callable[[Iterator[bytes]], T],
        *,
        path: str | None = None,
        known: Mapping[str, str] | None = None,
        learn: Callable[[dict[str, str]], None] = lambda validators: None,
    ) -> T:
        """The title index as `read` makes it out of the bytes, while they arrive. Raises SiteError.

        Where a base URL cannot be reached, or its page comes cut short, `read` begins anew with the next.
        `path` is that of an IndexPage; without it, the first page is read. `learn` is told the validators of the
        page that is read; with those as `known` next time, an unchanged page raises IndexUnchanged.
        """
        path = self.adapter.index_path() if path is None else path

        def attempt(base: str) -> T:
            return self._try_spellings(base, path, lambda spelling: ask(base, spelling))

        def ask(base: str, spelling: str) -> T:
            url = urljoin(base, spelling)
            conditions = _conditions(url, known or {})
            with (
                self._session(base) as session,
                http.stream(
                    url,
                    session=session,
                    headers=conditions,
                    timeout=INDEX_SILENCE,
                    total=INDEX_SECONDS,
                    max_bytes=INDEX_BYTES,
                ) as answer,
            ):
                if answer.status == 304 and conditions:
                    raise IndexUnchanged(f"{base} says that its index has not changed")
                if answer.status != 200:
                    head = b"".join(islice(answer.iter_bytes(BLOCK), 4)).decode("utf-8", "replace")
                    self.adapter.check(Answer(answer.url, answer.status, answer.headers, head))
                    raise SiteUnavailable(f"{base} answered {answer.status} for its index")
                learn(_validators(url, answer.headers))
                return read(answer.iter_bytes(BLOCK))

        try:
            return self._try_each(attempt, patience=INDEX_SECONDS)
        except NotFound as error:
            raise LayoutChanged(f"the index has moved: {error}") from error

    def page(self, path: str, read: Callable[[Answer], T]) -> T:
        """Any other page of the site, read by `read`."""
        return self._read(path, read)

    def _read(self, path: str, read: Callable[[Answer], T]) -> T:
        def attempt(base: str) -> T:
            return read(self._checked(base, path))

        return self._try_each(attempt)

    def _checked(self, base: str, path: str) -> Answer:
        """The page, at the first of its paths where the site has it."""

        def ask(spelling: str) -> Answer:
            answer = self._fetch(base, spelling)
            self.adapter.check(answer)
            return answer

        return self._try_spellings(base, path, ask)

    def _try_spellings(self, base: str, path: str, ask: Callable[[str], T]) -> T:
        """What one of a page's paths gave, that kind first which last did; at none, raises what the first one said.

        A site may answer a path that it does not know with some page of its own, so that a page which is none of
        those expected counts like a missing one.
        """
        spellings = (path, *self.adapter.alternatives(path))
        known = self._spelling.get(base, 0)
        missing: NotFound | LayoutChanged | None = None
        for number in sorted(range(len(spellings)), key=lambda number: number != known):
            try:
                found = ask(spellings[number])
            except (NotFound, LayoutChanged) as error:
                missing = missing or error
                continue
            if len(spellings) > 1:
                self._spelling[base] = number
            return found
        raise missing or NotFound(f"{self.site_id} has no path for it")

    def _fetch(self, base: str, path: str, *, follow: bool = True) -> Answer:
        with self._session(base) as session:
            got = http.fetch(
                urljoin(base, path),
                session=session,
                timeout=self.timeout,
                max_bytes=PAGE_BYTES,
                follow=follow,
            )
        return Answer(got.url, got.status, got.headers, got.text)

    def _try_each(self, attempt: Callable[[str], T], *, patience: float = 0.0) -> T:
        """The base URL, then the mirrors: only an unreachable site is worth asking elsewhere."""
        failure: SiteError | None = None
        deadline = time.monotonic() + (patience or 2 * self.timeout)
        for base in self.base_urls:
            try:
                return attempt(base)
            except http.OutboundError as error:
                failure = SiteUnavailable(f"{urlsplit(base).netloc}: {error}")
            except SiteUnavailable as error:
                failure = error
            if time.monotonic() > deadline:
                break
        raise failure or SiteUnavailable(f"{self.site_id} has no base URL")

    def _session(self, base: str) -> http.GuardedSession:
        # The operator typed the base URL, so its own host needs no further permission; where it
        # redirects to is checked like any other address.
        return http.session(trusted=(base,))


def _validators(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer gives to ask with next time; empty where it gives nothing."""
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    if not (etag or modified) or len(etag) > 200 or len(modified) > 60:
        return {}
    return {"url": url, "etag": etag, "last_modified": modified}


def _conditions(url: str, known: Mapping[str, str]) -> dict[str, str]:
    """The headers that ask «has it changed?»; none for another address than the one that was read."""
    if known.get("url") != url:
        return {}
    wanted = {
        "If-None-Match": known.get("etag", ""),
        "If-Modified-Since": known.get("last_modified", ""),
    }
    return {name: value for name, value in wanted.items() if value}


def client_for(site: Site) -> SiteClient:
    """The client for a site as its row says; raises UnknownSite when no adapter is registered for it."""
    adapter = get_adapter(site.site_id)
    languages = tuple(site.default_languages) or adapter.languages
    return SiteClient(
        site_id=site.site_id,
        adapter=adapter,
        base_urls=(site.base_url, *site.mirrors),
        timeout=site.search_timeout_seconds,
        languages=languages,
    )
