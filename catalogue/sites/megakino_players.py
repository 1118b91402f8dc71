"""The players of a Megakino page: the hosts' own addresses, in both shapes in which the pages list them."""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from urllib.parse import urlsplit

from bs4.element import Tag

from catalogue.sites.base import GERMAN_DUB, HostLink
from catalogue.sites.page import Page, value_of

# Compared with the labels of a host name one by one: «voe.sx» is VOE, «voetbal.example» is not.
_HOSTS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("VOE", r"voe"),
        ("Filemoon", r"filemoon"),
        ("Doodstream", r"d[o0]{2,}d(?:s|ster|stream)?|ds2(?:play|video)"),
        ("Streamtape", r"streamtape|strtape|strcloud|shavetape"),
        ("Vidoza", r"vidoza|videzz"),
        ("Vidmoly", r"vidmoly"),
        ("Luluvdo", r"luluvdo|lulustream"),
        ("LoadX", r"loadx"),
        ("SpeedFiles", r"speedfiles"),
        ("Vidara", r"vidara"),
        ("Mixdrop", r"mi?xdrop"),
        ("SuperVideo", r"supervideo"),
    )
)
_TRAILER_HOSTS = frozenset({"youtube", "youtube-nocookie", "youtu", "vimeo", "dailymotion"})
_TRAILER = re.compile("trailer", re.IGNORECASE)
_MENU_ITEM = re.compile(r"serie-(\d{1,5})_(\d{1,5})", re.ASCII)
_SELECT = re.compile(r"ep(\d{1,5})", re.ASCII | re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_ADDRESS = 2000

Episodes = dict[int, tuple[HostLink, ...]]
"""Episode number → the ways to play it, in page order; an episode that is only announced has none."""


def of_film(page: Page) -> tuple[HostLink, ...]:
    """The ways to play a film, in page order; none where there is but a trailer."""
    tabs = list(page.all(".tabs-block__select span"))
    contents = list(page.all("div.tabs-block__content"))
    if any(tab.has_attr("data-link") for tab in tabs):
        return _links((value_of(tab, "data-link"), tab) for tab in tabs)
    if len(contents) == len(tabs):
        # One to one, so that a tab without a player does not shift the names of the others.
        frames = [content.select_one("iframe") for content in contents]
    else:
        frames = [frame for content in contents for frame in content.select("iframe")]
    return _links(
        (_source(frame), tab) for frame, tab in zip_longest(frames, tabs) if frame is not None
    )


def of_serial(page: Page, season: int) -> Episodes:
    """The episodes of a serial's page. The numbers are the page's own: one that is missing shifts no other."""
    return _of_selects(page) or _of_menu(page, season)


def seasons(page: Page) -> list[int]:
    """The season numbers that the episode menu names; empty where the page has no such menu."""
    return list(dict.fromkeys(season for season, _, _ in _menu(page)))


def _of_selects(page: Page) -> Episodes:
    listed = page.each("select.se-select option", "value")
    found: Episodes = {
        int(match.group(1)): () for value in listed if (match := _SELECT.fullmatch(value))
    }
    for select in page.all("select.mr-select[id]"):
        if match := _SELECT.fullmatch(value_of(select, "id")):
            links = _links((value_of(one, "value"), one) for one in select.select("option"))
            found[int(match.group(1))] = links
    return found


def _of_menu(page: Page, season: int) -> Episodes:
    items = list(_menu(page))
    # The number in the menu is the season's on some pages and always 1 on others.
    own = [item for item in items if item[0] == season]
    first = [item for item in items if item[0] == items[0][0]]
    return {
        episode: _links((value_of(link, "data-link"), link) for link in row.select("a[data-link]"))
        for _, episode, row in own or first
    }


def _menu(page: Page) -> Iterator[tuple[int, int, Tag]]:
    for row in page.all("ul.ep-menu > li[id]"):
        if match := _MENU_ITEM.fullmatch(value_of(row, "id")):
            yield int(match.group(1)), int(match.group(2)), row


def _links(players: Iterable[tuple[str, Tag | None]]) -> tuple[HostLink, ...]:
    """Of (address, what carries its name), those that are a host's; each address once."""
    found: dict[str, HostLink] = {}
    for address, named in players:
        url = direct_url(address)
        label = value_of(named) if named is not None else ""
        if url and not _is_trailer(url, label):
            found.setdefault(url, HostLink(GERMAN_DUB, host_name(url, label), url))
    return tuple(found.values())


def _source(frame: Tag) -> str:
    """A frame's address; a lazy one has a placeholder in `src`."""
    sources = (value_of(frame, "data-src"), value_of(frame, "src"))
    return next((one for one in sources if direct_url(one)), "")


def _is_trailer(url: str, label: str) -> bool:
    labels = (urlsplit(url).hostname or "").split(".")
    return _TRAILER.search(label) is not None or not _TRAILER_HOSTS.isdisjoint(labels)


def direct_url(address: str) -> str:
    """An absolute http(s) address, or "" for anything else; one without a scheme is https."""
    address = "https:" + address if address.startswith("//") else address
    if len(address) > _LONGEST_ADDRESS or _UNPRINTABLE.search(address):
        return ""
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return ""
    return address if usable and parts.scheme in ("http", "https") else ""


def host_name(url: str, label: str = "") -> str:
    """What the host is called: by its domain, or by the page's label where a host that is known changed its domain.

    A host that neither tells keeps its domain as its name.
    """
    domain = (urlsplit(url).hostname or "").removeprefix("www.")
    parts = domain.split(".")[:-1]
    for name, pattern in _HOSTS:
        if any(map(pattern.fullmatch, parts)):
            return name
    word = label.casefold().split(" ")[0]
    if len(word) < 3:
        return domain
    return next((name for name, _ in _HOSTS if name.casefold().startswith(word)), domain)
