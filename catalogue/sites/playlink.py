"""The unfollowed answer to a play link: where it leads, or why it leads nowhere. No message names the link."""

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from catalogue.errors import Blocked, LayoutChanged, SiteError, SiteUnavailable
from catalogue.sites import signs
from catalogue.sites.base import Answer
from catalogue.sites.links import address_of, path_of

TOKEN_PATH = "/r"  # noqa: S105  a path, not a secret

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_TURNSTILE = re.compile(r"turnstile", re.IGNORECASE)
_STALE = frozenset({400, 403, 404, 410, 419, 422})


def read(
    answer: Answer,
    base_url: str,
    *,
    site: str,
    own_paths: re.Pattern[str],
    base_urls: Iterable[str] = (),
) -> str:
    """The host's URL. A host may share the catalogue's address, so host and path decide what is the site's own.

    `base_urls` are the site's known addresses; a play link that is sent on to another of them raises
    SiteUnavailable, so that the caller asks there.
    """
    if answer.status in (301, 302, 303, 307, 308):
        return _target(answer, base_url, own_paths, base_urls)
    challenged = signs.is_challenge(answer.text)
    if answer.status in _STALE and path_of(answer.url) == TOKEN_PATH and not challenged:
        raise SiteError("the play link has expired: read the episode's page anew")
    signs.check_status(answer, site)
    if challenged:
        raise Blocked(f"{site} asks for a browser check before it plays")
    if signs.wants_confirmation(answer.text) or _TURNSTILE.search(answer.text):
        raise Blocked("link needs manual confirmation")
    raise LayoutChanged(f"the play link answered HTTP {answer.status} and led nowhere")


def _target(
    answer: Answer, base_url: str, own_paths: re.Pattern[str], base_urls: Iterable[str]
) -> str:
    location = answer.headers.get("location", "").strip().replace(" ", "%20")
    if not location or _UNPRINTABLE.search(location):
        raise LayoutChanged("the play link redirects to no address")
    try:
        target = urljoin(answer.url or base_url, location)
        parts = urlsplit(target)
    except ValueError as error:
        raise LayoutChanged("the play link redirects to no address") from error
    address = address_of(target)
    if parts.scheme not in ("http", "https") or address is None:
        raise LayoutChanged("the play link redirects to no address")
    asked = address in {address_of(base_url), address_of(answer.url)}
    if not asked and address not in {address_of(url) for url in base_urls}:
        return target
    if signs.wants_confirmation(parts.path) or "/login" in parts.path:
        raise Blocked("link needs manual confirmation")
    if own_paths.match(parts.path or "/"):
        if not asked:
            raise SiteUnavailable(f"the site has moved to {address[0]}: make that its base URL")
        raise SiteError("the play link leads back to the catalogue")
    return target
