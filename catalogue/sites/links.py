"""Addresses on a page: what they lead to, read without ever raising."""

import re
from urllib.parse import unquote, urlsplit

SEASON_LINK = re.compile(r"/(?:staffel-(\d{1,5})|(filme))/?$", re.ASCII)
EPISODE_LINK = re.compile(
    r"/(?:staffel-(\d{1,5})/episode-(\d{1,5})|filme/film-(\d{1,5}))/?$", re.ASCII
)


def path_of(url: str) -> str:
    """The path of an address; empty for what is none."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def season_of(url: str) -> int | None:
    """The season that a link leads to, 0 for films; None for any other link."""
    found = SEASON_LINK.search(path_of(url))
    return int(found.group(1) or 0) if found else None


def episode_of(url: str) -> tuple[int, int] | None:
    """(season, episode) that a link leads to, in either spelling of films; None for any other link."""
    found = EPISODE_LINK.search(path_of(url))
    return (int(found.group(1) or 0), int(found.group(2) or found.group(3))) if found else None


def slug_of(href: str, prefix: str) -> str:
    """What stands after the prefix in a link to a title, percent-decoded once; empty for any other link."""
    path = path_of(href.strip())
    if not path.startswith(prefix):
        return ""
    slug = path.removeprefix(prefix).removesuffix("/")
    return "" if "/" in slug else unquote(slug, errors="replace")


def address_of(url: str) -> tuple[str, int] | None:
    """Host and port, so that two spellings of one address are equal; None for what has no host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname.removeprefix("www."), port or (80 if parts.scheme == "http" else 443)
