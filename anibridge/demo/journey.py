"""The whole journey over HTTP, as Prowlarr and Sonarr make it: what `make demo` shows and the suite walks.

Knows no app: only URLs, an API key, a user, and files that it can see on this machine.
"""

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import qbittorrentapi

from anibridge.demo.titles import video_of
from anibridge.demo.videos import expected_seconds
from anibridge.lib import http, media
from anibridge.lib.errors import AniBridgeError

ATTR = "{http://torznab.com/schemas/2015/feed}attr"
CATEGORY = "anibridge-demo"
SEARCHES, SEARCH_PAUSE = 10, 5.0
DONE_STATES = {"stoppedUP", "pausedUP", "uploading", "stalledUP"}


Tell = Callable[[str, str], None]
"""Called with a step's name and what was found."""
Show = Callable[[float, int], None]
"""Called with progress (0..1) and bytes a second while the download runs."""


class JourneyFailed(AniBridgeError):
    """A step did not find what a client needs."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where AniBridge is and how to get in."""

    base_url: str
    api_key: str = field(repr=False)
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The episode that the journey looks for; its slug in the demo catalogue tells how long it must be."""

    title: str = "Sintel"
    slug: str = "sintel"
    season: int = 1
    episode: int = 1
    language: str = "German"


@dataclass(frozen=True, slots=True)
class Offer:
    """A release as the feed offers it."""

    name: str
    link: str
    """What a client follows to grab it: a magnet, or an address that leads to one."""
    infohash: str
    size: int
    language: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the journey ended with."""

    release: Offer
    path: Path
    seconds: float
    polls: tuple[float, ...]
    """Each progress that a client saw, in order."""


def walk(
    access: Access,
    *,
    wanted: Wanted | None = None,
    tell: Tell = lambda step, found: None,
    show: Show = lambda progress, speed: None,
    seconds: float = 180.0,
) -> Arrived:
    """Make the journey; every step that a client relies on is checked. Raises JourneyFailed with the reason.

    `seconds` bounds the download. The release is removed again with its files, whatever happens after it was added.
    """
    wanted = wanted or Wanted()
    with indexer(access) as torznab:
        tell("caps", torznab.caps())
        tell("feed", torznab.feed())
        offers = torznab.search(wanted, tell=tell)
        tell(
            "search",
            f"{len(offers)} releases for {wanted.title} S{wanted.season:02}E{wanted.episode:02}",
        )
        offer = _pick(offers, wanted)
        tell("pick", f"{offer.name} ({offer.size / 1e6:.1f} MB)")
        magnet = torznab.grab(offer)
        tell("grab", f"it is there; {magnet[:68]}…")
    return _download(access, wanted, offer, magnet, tell, show, seconds)


def find(access: Access, wanted: Wanted) -> tuple[Offer, str]:
    """The release that the journey would grab, and its magnet."""
    with indexer(access) as torznab:
        offer = _pick(torznab.search(wanted), wanted)
        return offer, torznab.grab(offer)


@dataclass(frozen=True, slots=True)
class Torznab:
    """The indexer side, read as strictly as the *arrs read it."""

    access: Access
    session: http.GuardedSession

    def caps(self) -> str:
        """What the server says it can do."""
        root = self._ask(t="caps")
        modes = [
            mode.tag
            for mode in root.findall("searching/*")
            if mode.get("available") == "yes" and mode.get("supportedParams")
        ]
        categories = [c.get("id") for c in root.findall("categories//*")]
        if root.tag != "caps" or "tv-search" not in modes or "5000" not in categories:
            raise JourneyFailed("caps offer no TV search with category 5000")
        return f"{', '.join(modes)}; categories {', '.join(c for c in categories if c)}"

    def feed(self) -> str:
        """The query-less search that a client's Test and its RSS sync make; it must not be empty."""
        items = self._ask(t="tvsearch", cat="5000,5030,5040,5070", limit="100").findall(
            "channel/item"
        )
        if not items:
            raise JourneyFailed("the feed is empty: a client's Test would fail")
        return f"{len(items)} items, newest: {items[0].findtext('title')}"

    def search(self, wanted: Wanted, *, tell: Tell = lambda step, found: None) -> list[Offer]:
        """The releases of one episode.

        A search answers within its budget and leaves the rest to a worker, so an empty answer is asked again,
        as the *arrs do on their own schedule.
        """
        for attempt in range(SEARCHES):
            root = self._ask(
                t="tvsearch",
                q=wanted.title,
                season=str(wanted.season),
                ep=str(wanted.episode),
                cat="5000,5030,5040,5070",
            )
            offers = [_offer(item) for item in root.findall("channel/item")]
            if offers or attempt == SEARCHES - 1:
                return offers
            tell("waiting", "nothing within the search's budget yet; asking again")
            time.sleep(SEARCH_PAUSE)
        return []

    def grab(self, offer: Offer) -> str:
        """The magnet of an offer, as the *arrs come by it: a redirect to one is taken, and followed no further."""
        link = offer.link
        if not link.startswith("magnet:"):
            answer = http.fetch(
                link,
                session=self.session,
                headers={"Accept": "application/x-bittorrent"},
                timeout=60,
                follow=False,
            )
            if answer.status not in (301, 302, 303):
                raise JourneyFailed(f"the grab link answered {answer.status}: {answer.text[:200]}")
            link = answer.headers.get("location", "")
        if not link.startswith("magnet:?xt=urn:btih:") or offer.infohash not in link:
            raise JourneyFailed(f"no magnet of the release: {link[:80]}")
        return link

    def _ask(self, **parameters: str) -> ElementTree.Element:
        query = urlencode({**parameters, "apikey": self.access.api_key})
        answer = http.fetch(
            f"{self.access.base_url}/torznab/api?{query}", session=self.session, timeout=60
        )
        if answer.status != 200:
            raise JourneyFailed(f"{parameters['t']}: the server answered {answer.status}")
        try:
            root = ElementTree.fromstring(answer.body)  # noqa: S314  our own server's answer
        except ElementTree.ParseError as error:
            raise JourneyFailed(f"{parameters['t']}: not XML: {error}") from None
        if root.tag == "error":
            raise JourneyFailed(f"{parameters['t']}: {root.get('code')} {root.get('description')}")
        return root


@contextmanager
def indexer(access: Access) -> Iterator[Torznab]:
    """The indexer side of an AniBridge."""
    with http.session(trusted=(access.base_url,)) as session:
        yield Torznab(access, session)


def _offer(item: ElementTree.Element) -> Offer:
    attributes = {attr.get("name"): attr.get("value") or "" for attr in item.findall(ATTR)}
    enclosure = item.find("enclosure")
    if enclosure is None or not item.findtext("title") or not item.findtext("pubDate"):
        raise JourneyFailed("an item without enclosure, title or date: a client would drop it")
    return Offer(
        name=item.findtext("title") or "",
        link=attributes.get("magneturl") or enclosure.get("url") or "",
        infohash=attributes.get("infohash", ""),
        size=int(attributes.get("size") or 0),
        language=attributes.get("language", ""),
    )


def _pick(offers: list[Offer], wanted: Wanted) -> Offer:
    """The first release in the wanted language, as a profile with one language would."""
    for offer in offers:
        if offer.language == wanted.language and offer.infohash:
            return offer
    found = ", ".join(offer.name for offer in offers) or "none"
    raise JourneyFailed(f"no {wanted.language} release of {wanted.title}; found: {found}")


def _download(
    access: Access,
    wanted: Wanted,
    offer: Offer,
    magnet: str,
    tell: Tell,
    show: Show,
    seconds: float,
) -> Arrived:
    with connected(access) as client:
        tell("connect", f"qBittorrent {client.app_version()}, API {client.app_web_api_version()}")
        if CATEGORY not in client.torrents_categories():
            client.torrents_create_category(name=CATEGORY)
        client.torrents_delete(delete_files=True, torrent_hashes=offer.infohash)
        answer = client.torrents_add(urls=magnet, category=CATEGORY)
        if answer != "Ok.":
            raise JourneyFailed(f"the magnet was refused: {answer}")
        tell("add", f"{offer.infohash} in category {CATEGORY}")
        try:
            torrent, polls = _until_done(client, offer, show, seconds)
            path = Path(str(torrent["content_path"]))
            found = _check(torrent, path, wanted, offer)
            tell(
                "completed", f"{path} ({path.stat().st_size / 1e6:.1f} MB, {found:.0f} s of video)"
            )
        finally:
            client.torrents_delete(delete_files=True, torrent_hashes=offer.infohash)
        if client.torrents_info(torrent_hashes=offer.infohash) or path.exists():
            raise JourneyFailed("the release or its file is still there after its removal")
        tell("remove", "the release and its file are gone")
        return Arrived(offer, path, found, polls)


@contextmanager
def connected(access: Access) -> Iterator[qbittorrentapi.Client]:
    """The download client side, logged in. Raises JourneyFailed for a refused login and for any API error."""
    client = qbittorrentapi.Client(
        host=access.base_url,
        username=access.username,
        password=access.password,
        REQUESTS_ARGS={"timeout": 30},
    )
    try:
        client.auth_log_in()
        yield client
        client.auth_log_out()
    except qbittorrentapi.LoginFailed:
        raise JourneyFailed(f"the user {access.username} cannot log in") from None
    except qbittorrentapi.APIError as error:
        raise JourneyFailed(f"the qBittorrent API answered: {error}") from None


def _until_done(
    client: qbittorrentapi.Client, offer: Offer, show: Show, seconds: float
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Poll as Sonarr does, only faster, until the state says that the release may be imported."""
    polls: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        torrents = client.torrents_info(category=CATEGORY, torrent_hashes=offer.infohash)
        if not torrents:
            raise JourneyFailed("the release is not listed after it was added")
        torrent: dict[str, Any] = dict(torrents[0])
        polls.append(float(torrent["progress"]))
        show(polls[-1], int(torrent["dlspeed"]))
        if torrent["state"] in DONE_STATES:
            return torrent, tuple(polls)
        if torrent["state"] in {"error", "missingFiles"}:
            raise JourneyFailed(
                f"the download failed: {torrent.get('comment') or 'no reason given'}"
            )
        time.sleep(0.3)
    raise JourneyFailed(f"not finished after {seconds:.0f} s, at {polls[-1]:.0%}")


def _check(torrent: dict[str, Any], path: Path, wanted: Wanted, offer: Offer) -> float:
    """The file is a video, as long as it should be, under the name that was grabbed. Returns its seconds."""
    if str(path) == str(torrent["save_path"]).rstrip("/"):
        raise JourneyFailed("content_path equals save_path: Sonarr would not import")
    if path.stem != offer.name:
        raise JourneyFailed(f"the file is named {path.name}, grabbed was {offer.name}")
    if torrent["progress"] != 1 or torrent["ratio_limit"] < 0:
        raise JourneyFailed("the finished release is not one that Sonarr may move and remove")
    length = expected_seconds(video_of(wanted.slug, wanted.season, wanted.episode))
    try:
        facts = media.verify_video(path, expected_seconds=length)
    except (media.NotMedia, OSError) as error:
        raise JourneyFailed(f"{path} is not the video it should be: {error}") from None
    return facts.duration or 0.0
