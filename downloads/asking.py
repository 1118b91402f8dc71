"""From what somebody asks for in words to an order: a link, or an episode of the catalogue, and how it is to be kept.

Nothing here asks the network: whether a release can be had shows when it is fetched.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ValidationError

from anibridge.lib.text import shorten
from catalogue.errors import UnknownSite
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import BARE_SITES, MAX_NUMBER, Identity, Release, language_label
from catalogue.sites import SITES, get_adapter
from catalogue.sites.base import SiteAdapter
from catalogue.sites.links import address_of, episode_of, path_of, season_of
from downloads import categories, files, queue, services
from downloads.detection import DownloadType
from downloads.errors import BadNaming, BadWish, OutsideRoot
from downloads.models import Job, JobStatus, Layout, LinkMode
from downloads.models.links import validate_category
from downloads.naming import Naming
from downloads.orders import Order as Order
from downloads.orders import as_strm, order_for, order_for_torrent

MAX_PATH = 900
"""Characters of a save path; leaves room for a file name in the column of a job's paths."""
CHECKSUM = re.compile(
    r"^(?:[Ss][Hh][Aa]256[:=][0-9A-Fa-f]{64}|[Ss][Hh][Aa]1[:=][0-9A-Fa-f]{40}|[Mm][Dd]5[:=][0-9A-Fa-f]{32})$"
)
"""Without flags: the schema shows it to readers of another dialect."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of the catalogue as somebody names it; `language` in any spelling, `episode` None for a season."""

    site: str
    slug: str
    season: int
    episode: int | None
    language: str
    provider: str = ""
    mode: str = "download"


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing to be fetched: `link` or `episode`, and what was said about it. `mode` is for links; `strm` makes a file
    that plays it."""

    link: str = ""
    episode: Episode | None = None
    mode: str = LinkMode.DOWNLOAD.value
    name: str = ""
    category: str = ""
    save_path: str = ""
    paused: bool = False
    priority: Literal["", "top", "bottom"] = ""
    forced: bool = False
    rate_limit: int | None = None
    checksum: str = ""
    layout: str = Layout.RELEASE.value
    naming: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a wish that was taken. `again`: it was there, was over, and starts anew."""

    job: Job
    created: bool
    again: bool = False


def take(wish: Wish) -> Taken:
    """Queue what is wished for; asking twice gives the same job, which is left as it is unless it was over.

    Raises an AniBridgeError that says why it cannot be fetched.
    """
    return enqueue(order_of(wish), wish.priority, wish.forced)


def enqueue(order: Order, priority: str = "", forced: bool = False) -> Taken:
    """Queue an order, in front of all others or at once where that is wished for."""
    before = Job.objects.present().filter(infohash=order.infohash).values("status").first()
    job, created = services.enqueue(order)
    again = (
        not created
        and before is not None
        and job.status == JobStatus.QUEUED
        and before["status"] in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
    )
    if created or again:
        if priority == "top":
            queue.to_top([job.pk])
        if forced:
            queue.force([job.pk])
    found = Job.objects.present().select_related("downloader").filter(pk=job.pk).first()
    return Taken(found or job, created, again)


def order_of(wish: Wish) -> Order:
    """The order behind a wish. Raises UnsupportedLink, UnknownSite, UnsafeSlug, OutsideRoot, BadNaming, BadWish."""
    folder = _folder(wish)
    common: dict[str, Any] = {
        "category": wish.category,
        "save_path": folder,
        "paused": wish.paused,
        "name": wish.name,
    }
    if wish.episode is not None:
        order = _order_for_episode(wish.episode, **common)
    else:
        order = order_for(wish.link, **common)
    if wish.mode == LinkMode.STRM:
        order = as_strm(order)
    if order.identity is not None:
        check_identity(order.identity)
    if wish.checksum and not CHECKSUM.fullmatch(wish.checksum):
        raise BadWish("a checksum must be sha256:…, sha1:… or md5:… in hexadecimal digits")
    if wish.checksum and order.download_type != DownloadType.HTTP:
        raise BadWish(f"a checksum is for plain links; this is {_a(order.download_type)}")
    order = replace(
        order,
        rate_limit=wish.rate_limit,
        checksum=wish.checksum.lower().replace("=", ":"),
        layout=wish.layout,
        naming=wish.naming,
    )
    if wish.layout == Layout.LIBRARY:
        _check_naming(order)
    return order


def order_of_torrent(content: bytes, wish: Wish) -> Order:
    """The order behind the bytes of a .torrent file. Raises NotATorrent, OutsideRoot, BadWish."""
    if wish.checksum:
        raise BadWish("a checksum is for plain links; a torrent has its own")
    folder = _folder(wish)
    order = order_for_torrent(
        content, name=wish.name, category=wish.category, save_path=folder, paused=wish.paused
    )
    return replace(order, rate_limit=wish.rate_limit)


def check_identity(identity: Identity) -> None:
    """Raises UnknownSite or UnsafeSlug for a release that no site here can have."""
    if identity.site in BARE_SITES:  # no site has it: somebody gave us its address
        return
    adapter = get_adapter(identity.site)
    adapter.check_slug(identity.slug)
    if not Site.objects.filter(pk=identity.site).exists():
        raise UnknownSite(f"the site «{identity.site}» is not set up here")


def save_path(text: str) -> Path:
    """The folder that is meant: below the download folder, or absolute and below a configured root.

    Raises OutsideRoot.
    """
    outside = OutsideRoot(
        f"«{shorten(text, 200)}» is neither inside the download folder nor inside one of DOWNLOAD_LIBRARY_ROOTS"
    )
    try:
        asked = settings.DOWNLOAD_DIR / text.strip()
        if any(part == ".." for part in asked.parts):
            raise outside
        resolved = asked.resolve()
        fits = len(str(resolved)) <= MAX_PATH and all(
            len(part.encode()) <= 255 for part in resolved.parts
        )
    except (OSError, RuntimeError, ValueError):  # no such name is possible, or links in a circle
        raise outside from None
    unfinished = (settings.DOWNLOAD_DIR / files.PARTIAL).resolve()
    inside = any(resolved.is_relative_to(root.resolve()) for root in files.roots())
    if not fits or not inside or resolved.is_relative_to(unfinished):
        raise outside
    return resolved


def _folder(wish: Wish) -> Path:
    try:
        validate_category(wish.category)
    except ValidationError as error:
        raise BadWish("; ".join(error.messages)) from None
    return save_path(wish.save_path) if wish.save_path else categories.folder(wish.category)


def _order_for_episode(
    asked: Episode, *, name: str, category: str, save_path: Path, paused: bool
) -> Order:
    language = language_label(asked.language)
    if language is None:
        raise BadWish(f"the language «{shorten(asked.language, 40)}» is not known")
    if not all(0 <= number <= MAX_NUMBER for number in (asked.season, asked.episode or 0)):
        raise BadWish(f"season and episode must be numbers from 0 to {MAX_NUMBER}")
    adapter = get_adapter(asked.site)
    identity = Identity(
        adapter.key,
        asked.slug,
        asked.season,
        asked.episode,
        language,
        strm=asked.mode == "strm",
    )
    return Order(
        infohash=identity.infohash,
        name=name or _release_name(identity),
        identity=identity,
        category=category,
        save_path=save_path,
        provider=asked.provider,
        paused=paused,
    )


def _release_name(identity: Identity) -> str:
    """The name under which a search would offer it, as far as that is known without asking the site."""
    adapter = get_adapter(identity.site)
    title = Title.objects.filter(site=identity.site, slug=identity.slug).first()
    record = AvailabilityRecord.objects.filter(
        site=identity.site,
        slug=identity.slug,
        season=identity.season,
        episode=identity.episode,
        language=identity.language,
    ).first()
    return Release(
        identity=identity,
        title=title.name if title else identity.slug,
        group=adapter.release_group,
        original_language=adapter.original_language,
        height=record.height if record else None,
        vcodec=(record.vcodec if record else "") or None,
        year=title.year if title else None,
    ).name


def _check_naming(order: Order) -> None:
    identity = order.identity
    season, episode = (identity.season, identity.episode) if identity else (0, None)
    Naming.read(order.naming, season=season, episode=episode)
    roots: list[Path] = settings.DOWNLOAD_LIBRARY_ROOTS
    named = order.naming.get("root")
    if not named and len(roots) == 1:
        return
    if not isinstance(named, str) or not any(
        Path(named).resolve().is_relative_to(root.resolve()) for root in roots
    ):
        listed = ", ".join(str(root) for root in roots) or "there is none"
        raise BadNaming(f"«naming.root» must be one of DOWNLOAD_LIBRARY_ROOTS: {listed}")


def _a(kind: DownloadType) -> str:
    return f"an {kind.value}" if kind == DownloadType.EPISODE else f"a {kind.value}"


def page_of(link: str) -> tuple[str, str, int | None, int | None] | None:
    """(site, slug, season, episode) of the page of a known site that a link leads to; None for any other link."""
    address, path = address_of(link.strip()), path_of(link.strip())
    if address is None or not path:
        return None
    for site in Site.objects.filter(pk__in=SITES):
        known = {
            address_of(url) for url in (site.base_url, *site.mirrors, *SITES[site.pk].base_urls)
        }
        if address not in known:
            continue
        season, episode = episode_of(path) or (season_of(path), None)
        slug = _slug_in(get_adapter(site.pk), path)
        if slug:
            return site.pk, slug, season, episode
    return None


def _slug_in(adapter: SiteAdapter, path: str) -> str:
    """The part of a path that is a title's, as the site's own paths have it in either of their layouts."""
    for part in path.split("/"):
        slug = unquote(part).removesuffix(".html")
        if not adapter.slug_pattern.fullmatch(slug):
            continue
        usual = adapter.title_path(slug)
        if any(f"{path}/".startswith(f"{one}/") for one in (usual, *adapter.alternatives(usual))):
            return slug
    return ""
