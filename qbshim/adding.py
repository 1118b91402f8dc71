"""Adding what a client sends: magnets, links, .torrent files, and links that our own indexer has given out.

Nothing is looked up here and nothing is asked from the network: whether a thing can be had shows later, since a refusal
would make Sonarr think that the whole client is down.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from anibridge.lib import sniff
from anibridge.lib.disposition import name_of_address
from anibridge.lib.errors import AniBridgeError
from catalogue import grabs
from catalogue.models import AvailabilityRecord
from catalogue.releases import Identity
from downloads import asking, orders, queue, tending
from downloads import services as downloads
from downloads.adopting import AS_TORRENT
from downloads.detection import DownloadType, Link, detect
from downloads.errors import NotATorrent, Unmovable
from downloads.looking import PERHAPS
from downloads.models import Job, JobStatus, Subfolder
from downloads.orders import Order
from qbshim import categories, services
from qbshim import tags as tag_cases
from qbshim.errors import NotATorrentFile, Refused

logger = logging.getLogger(__name__)
S = JobStatus

_GRAB: Final = re.compile(r"https?://[^/?#]+(?:/[^?#]*)?/torznab/grab/([^/?#]+)/?", re.IGNORECASE)
_BARE_HASH: Final = re.compile(r"[0-9a-f]{40}|[a-z2-7]{32}", re.IGNORECASE)
"""What a web page's field for links gets: qBittorrent makes a magnet of it."""
_OVER: Final = (S.FAILED, S.CANCELLED, S.COMPLETED)


@dataclass(frozen=True, slots=True)
class AddOptions:
    """What a client says beside the links. `save_path` None: the category's folder. `kept` is what is only given back, by
    keys of `torrents/info`."""

    category: str = ""
    save_path: Path | None = None
    auto_tmm: bool = True
    paused: bool = False
    forced: bool = False
    first: bool = False
    rename: str = ""
    tags: Sequence[str] = ()
    subfolder: Subfolder = Subfolder.USUAL
    rate_limit: int | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One thing that was understood: its order, the name that clients see, and the magnet they gave.

    `to_find` is what a worker is to find out about a link, for the job's `magnet_metadata`.
    """

    order: Order
    name: str
    magnet: str = ""
    to_find: Mapping[str, bool] = field(default_factory=dict)


def add(
    urls: Sequence[str], options: AddOptions, torrents: Sequence[tuple[str, bytes]] = ()
) -> list[Job]:
    """Take every link and every .torrent file (name, content) that can be understood.

    Raises NotATorrentFile when a file is none, and then takes nothing; Refused when there is nothing to take.
    """
    wanted = [_of_file(name, content, options) for name, content in torrents]
    refusals = []
    for url in urls:
        try:
            wanted.append(_of_link(url, options))
        except AniBridgeError as error:
            refusals.append(str(error))
    if not wanted:
        raise Refused("; ".join(refusals[:5]) or "no links were given")
    if refusals:
        logger.info("not added: %s", "; ".join(refusals[:5]))
    category = categories.known_or_created(options.category)
    folder = options.save_path or categories.folder_for_new(category, follows=options.auto_tmm)
    jobs = [_take(one, options, category, folder) for one in wanted]
    _put_in_queue(jobs, options)
    return [job for job, _ in jobs]


def _of_file(name: str, content: bytes, options: AddOptions) -> _Wanted:
    try:
        order = orders.order_for_torrent(content)
    except NotATorrent as error:
        reason = "" if "v2" not in str(error) else f" {error}"
        raise NotATorrentFile(f"Error: '{name}' is not a valid torrent file.{reason}") from error
    return _Wanted(order, options.rename or order.name)


def _of_link(url: str, options: AddOptions) -> _Wanted:
    """Raises an AniBridgeError that says why it can never be fetched here."""
    grab = _GRAB.fullmatch(url)
    magnet = grabs.read(grab[1])[0] if grab else url
    if _BARE_HASH.fullmatch(magnet):
        magnet = f"magnet:?xt=urn:btih:{magnet}"
    link = detect(magnet)
    # What a link's file is called is for the client to say; a release keeps the name that was grabbed.
    named = options.rename if link.download_type == DownloadType.HTTP else ""
    order = orders.order_for(magnet, name=named)
    if order.download_type == DownloadType.EPISODE and order.identity is not None:
        asking.check_identity(order.identity)
    if link.magnet is None:
        to_find = _to_find(link)
        # Of a torrent the name is known when somebody has looked; until then it is the link's.
        return _Wanted(order, options.rename or ("" if to_find else order.name), to_find=to_find)
    return _Wanted(order, options.rename or link.magnet.name or order.name, magnet)


def _to_find(link: Link) -> dict[str, bool]:
    """An http link may be anything, unless it ends like a video: to a qBittorrent every link is one to a .torrent file,
    and the torrent is known by its own hash."""
    if link.download_type == DownloadType.TORRENT:
        return {AS_TORRENT: True}
    if sniff.extension(name_of_address(link.url) or "") in sniff.VIDEO_EXTENSIONS:
        return {}
    return {PERHAPS: True, AS_TORRENT: True}


def _take(wanted: _Wanted, options: AddOptions, category: str, folder: Path) -> tuple[Job, bool]:
    """Queue one thing. What is there already is left alone, except that one without a category takes the asked one, and
    that one which failed, was cancelled or lost its file starts over, as the new request wants it.

    Returns the job, and whether the request is what it follows.
    """
    order = _complete(wanted.order, options, category, folder)
    with transaction.atomic():
        before = Job.objects.present().filter(infohash=order.infohash).first()
        job, created = downloads.enqueue(order)
        again = before is not None and before.status in _OVER and job.status == S.QUEUED
        if created:
            services.task_of(
                job,
                name=wanted.name[:255],
                magnet=wanted.magnet,
                tags=tag_cases.create(options.tags),
                auto_tmm=options.auto_tmm,
                kept=services.worth_keeping(options.kept),
            )
        if created or again:
            values: dict[str, Any] = {"subfolder": options.subfolder}
            if wanted.to_find:
                values["magnet_metadata"] = {**job.magnet_metadata, **wanted.to_find}
            if again:
                values |= {"category": category, "rate_limit": options.rate_limit}
            Job.objects.filter(pk=job.pk).update(**values)
        if again and options.paused:
            downloads.pause(job.pk)
    if again:
        try:
            tending.relocate(job.pk, folder)
        except Unmovable as error:
            logger.info("job %s: %s", job.pk, error)
    elif not created and category and not job.category:
        categories.assign([job], category)
    return job, created or again


def _complete(order: Order, options: AddOptions, category: str, folder: Path) -> Order:
    return replace(
        order,
        category=category,
        save_path=folder,
        paused=options.paused,
        size_bytes=order.size_bytes or _probed_size(order),
        rate_limit=options.rate_limit,
    )


def _put_in_queue(jobs: Sequence[tuple[Job, bool]], options: AddOptions) -> None:
    ids = [job.pk for job, ours in jobs if ours]
    steps: list[tuple[bool, Callable[[Sequence[int]], None]]] = [
        (options.first, queue.to_top),
        (options.forced, queue.force),
    ]
    for is_wanted, step in steps:
        if is_wanted and ids:
            step(ids)


def _probed_size(order: Order) -> int | None:
    """The size that a probe has found, so that clients see one before the download begins."""
    identity: Identity | None = order.identity
    if identity is None or order.download_type != DownloadType.EPISODE:
        return None
    return (
        AvailabilityRecord.objects.filter(
            site_id=identity.site,
            slug=identity.slug,
            season=identity.season,
            episode=identity.episode,
            language=identity.language,
        )
        .values_list("size_bytes", flat=True)
        .first()
    )
