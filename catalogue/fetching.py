"""Asking a site: base URL and mirrors, the guard, the time-out; the adapter reads what comes back.

No database in here: a client is made from a Site row and then used in any thread.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from anibridge.lib import http
from catalogue.errors import SiteError, SiteUnavailable
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


@dataclass(frozen=True)
class SiteClient:
    """One site as it can be asked right now. Every call raises SiteError or NotFound, nothing else expected."""

    site_id: str
    adapter: SiteAdapter
    base_urls: tuple[str, ...]
    timeout: float
    languages: tuple[str, ...]

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
            adapter.episode_path(adapter.check_slug(slug), season, episode), adapter.parse_episode
        )

    def host_url(self, link: HostLink) -> str:
        """Where a play link leads: the host's page. The redirect itself is not followed."""

        def read(base: str) -> str:
            answer = _answer(
                http.fetch(
                    urljoin(base, link.path),
                    session=self._session(base),
                    timeout=self.timeout,
                    max_bytes=PAGE_BYTES,
                    follow=False,
                )
            )
            return self.adapter.read_play_link(answer, base)

        return self._try_each(read)

    @contextmanager
    def index_chunks(self) -> Iterator[Iterator[bytes]]:
        """The bytes of the title index as they arrive, from the first base URL that answers."""
        failure: SiteError | None = None
        for base in self.base_urls:
            try:
                with http.stream(
                    urljoin(base, self.adapter.index_path()),
                    session=self._session(base),
                    timeout=INDEX_SECONDS,
                    max_bytes=INDEX_BYTES,
                ) as answer:
                    if answer.status != 200:
                        head = b"".join(answer.iter_bytes(65536))
                        self.adapter.check(
                            Answer(
                                answer.url,
                                answer.status,
                                answer.headers,
                                head.decode("utf-8", "replace"),
                            )
                        )
                        raise SiteUnavailable(f"{base} answered {answer.status} for its index")
                    yield answer.iter_bytes(65536)
                    return
            except http.OutboundError as error:
                failure = SiteUnavailable(str(error))
            except SiteError as error:
                failure = error
        raise failure or SiteUnavailable(f"{self.site_id} has no base URL")

    def page(self, path: str, read: Callable[[Answer], T]) -> T:
        """Any other page of the site, read by `read`."""
        return self._read(path, read)

    def _read(self, path: str, read: Callable[[Answer], T]) -> T:
        def attempt(base: str) -> T:
            answer = _answer(
                http.fetch(
                    urljoin(base, path),
                    session=self._session(base),
                    timeout=self.timeout,
                    max_bytes=PAGE_BYTES,
                )
            )
            self.adapter.check(answer)
            return read(answer)

        return self._try_each(attempt)

    def _try_each(self, attempt: Callable[[str], T]) -> T:
        """The base URL, then the mirrors: only an unreachable site is worth asking elsewhere."""
        failure: SiteError | None = None
        deadline = time.monotonic() + 2 * self.timeout
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
        parts = urlsplit(base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return http.session(trusted=(f"{parts.hostname}:{port}",))


def _answer(fetched: http.Fetched) -> Answer:
    return Answer(fetched.url, fetched.status, fetched.headers, fetched.text)


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

