"""Reads answers as strictly as Sonarr, Radarr and Prowlarr together: what one of them would drop is a problem here."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from django.http import HttpResponse

NAMESPACE = "http://torznab.com/schemas/2015/feed"
MAGNET_TYPE = "application/x-bittorrent;x-scheme-handler/magnet"
TORRENT_TYPE = "application/x-bittorrent"
LINK = re.compile(r"https?://[\w.:-]+(?:/[\w.-]+)*/torznab/grab/\w[\w.~-]+", re.ASCII)
LANGUAGES = {"German", "English", "Japanese"}
DATE = re.compile(
    r"(?P<weekday>Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<moment>\d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2}) GMT"
)
RELEASE = re.compile(
    r"(?:\[[A-Z0-9]+\] )?(?P<title>.+?)\.S(?P<season>\d{2,4})E(?P<episode>\d{2,4})(?:\.[A-Za-z]+)*"
    r"(?:\.\d{3,4}p)?\.WEB(?:-DL)?\.[A-Za-z0-9]+-(?P<group>[A-Z0-9]+)"
)


class Dropped(Exception):
    """A client would leave this out, or refuse the whole answer."""


@dataclass(frozen=True)
class ReadItem:
    """An item as a client understands it."""

    title: str
    guid: str
    published: datetime
    url: str
    size: int
    attributes: dict[str, list[str]]

    def one(self, name: str) -> str:
        (value,) = self.attributes[name]
        return value

    @property
    def categories(self) -> set[int]:
        return {int(value) for value in self.attributes["category"]}

    @property
    def parsed(self) -> tuple[str, int, int]:
        """Title, season and episode, read from the release name as Sonarr does."""
        match = need(RELEASE.fullmatch(self.title), f"«{self.title}» does not parse")
        return match["title"].replace(".", " "), int(match["season"]), int(match["episode"])


@dataclass(frozen=True)
class ReadError:
    code: int
    description: str


def need(value, problem):
    if not value:
        raise Dropped(problem)
    return value


def document(response: HttpResponse) -> ElementTree.Element:
    """The XML of an answer with status 200, decoded by the charset of its header."""
    kind = response.headers["Content-Type"]
    need(response.status_code == 200, f"status {response.status_code}")
    need("html" not in kind and "xml" in kind, f"type {kind}")
    charset = re.search(r"charset=([\w-]+)", kind)
    text = response.content.decode(charset[1] if charset else "utf-8")
    return ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", text))


def read_error(response: HttpResponse) -> ReadError:
    root = document(response)
    need(root.tag == "error", f"{root.tag} instead of error")
    return ReadError(int(root.attrib["code"]), need(root.get("description"), "no description"))


def read_feed(response: HttpResponse) -> list[ReadItem]:
    """The items; raises Dropped when a client would lose one of them or refuse the feed."""
    root = document(response)
    need(not [*root.iter("error")], "an error within the feed")
    channel = need_element(root, "channel")
    items = [_item(element) for element in channel.findall("item")]
    need(len({item.guid for item in items}) == len(items), "the same guid twice")
    # Some clients look for the prefix instead of the namespace.
    need(not items or b"<torznab:attr " in response.content, "another prefix than torznab")
    need(b"xmlns:ns0" not in response.content, "an invented prefix")
    return items


def need_element(parent: ElementTree.Element, tag: str) -> ElementTree.Element:
    found = parent.find(tag)
    if found is None:
        raise Dropped(f"no {tag}")
    return found


def _item(element: ElementTree.Element) -> ReadItem:
    title = need((element.findtext("title") or "").strip(), "no title")
    attributes: dict[str, list[str]] = {}
    for attr in element.findall(f"{{{NAMESPACE}}}attr"):
        attributes.setdefault(need(attr.get("name"), "attr without name"), []).append(
            need(attr.get("value"), f"{title}: attr without value")
        )
    enclosure = need_element(element, "enclosure")
    magnet = enclosure.attrib["url"].startswith("magnet:")
    kind = MAGNET_TYPE if magnet else TORRENT_TYPE
    need(enclosure.get("type") == kind, f"enclosure type {enclosure.get('type')}")
    size = int(attributes["size"][0])
    need(size > 0 and int(enclosure.attrib["length"]) == size, "no size, or two")
    item = ReadItem(
        title=title,
        guid=need(element.findtext("guid"), "no guid"),
        published=date(element.findtext("pubDate")),
        url=enclosure.attrib["url"],
        size=size,
        attributes=attributes,
    )
    _check_attributes(item)
    need(
        [int(c.text or "") for c in element.findall("category")]
        == [int(value) for value in attributes["category"]],
        "categories differ",
    )
    guid = need_element(element, "guid")
    need(guid.get("isPermaLink") == "false", "the guid is no link")
    return item


def _check_attributes(item: ReadItem) -> None:
    seeders, peers = int(item.one("seeders")), int(item.one("peers"))
    need(seeders >= 1 and peers >= seeders, "no seeders, or more than peers")
    need(re.fullmatch(r"[0-9a-f]{40}", item.one("infohash"), re.I), "no infohash")
    if item.url.startswith("magnet:"):
        need(magnet_hash(item.url) == item.one("infohash").lower(), "another hash in the magnet")
        need(magnet_hash(item.one("magneturl")) == item.one("infohash").lower(), "another hash")
    else:
        need(LINK.fullmatch(item.url), f"no link: {item.url[:60]}")
        need("magneturl" not in item.attributes, "clients would take the magnet, not the link")
    for language in item.attributes.get("language", []) + item.attributes.get("subs", []):
        need(language in LANGUAGES, f"no language: {language}")
    for name in ("season", "episode", "year", "tvdbid", "imdb", "files"):
        for value in item.attributes.get(name, []):
            need(value.isdecimal(), f"{name} {value}")
    need(float(item.one("downloadvolumefactor")) == 0, "not free")
    need(float(item.one("uploadvolumefactor")) == 1, "counts otherwise")
    need(item.published <= datetime.now(UTC), "from the future")


def date(text: str | None) -> datetime:
    """A pubDate; .NET refuses one whose weekday is wrong."""
    match = need(DATE.fullmatch(text or ""), f"no date: {text}")
    moment = datetime.strptime(match["moment"], "%d %b %Y %H:%M:%S").replace(tzinfo=UTC)
    need(moment.strftime("%a") == match["weekday"], f"wrong weekday: {text}")
    return moment


def magnet_hash(url: str) -> str:
    """The hash of a magnet, by MonoTorrent's rules."""
    need(url.startswith("magnet:?"), f"no magnet: {url[:40]}")
    need(len(url) < 65_000, "too long")
    need("#" not in url and url.isascii() and url.isprintable(), "not a URL")
    need(" " not in url, "a blank in a URL")
    parts = [part.split("=") for part in url.removeprefix("magnet:?").split("&")]
    need(all(len(part) == 2 and len(part[0]) > 1 for part in parts), "odd parameter")
    topics = [value for key, value in parts if key.startswith("xt")]
    need(len(topics) == 1, "not one topic")
    match = need(re.fullmatch(r"urn:btih:([0-9a-fA-F]{40})", topics[0]), "encoded or no hash")
    need(dict(parse_qsl(url.partition("?")[2])).get("dn"), "no name")
    return match[1].lower()
