"""Keeping the library in step. A run that finds nothing to do changes nothing; a source in trouble removes nothing."""

import fcntl
import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError, Cancelled, Misconfigured
from anibridge.lib.text import shorten
from catalogue.releases import Identity
from downloads import space
from strm import links
from strm.library import details, naming
from strm.library.listing import Entry, Listing, Wish, listing_of
from strm.library.models import FileKind, LibraryFile, LibraryTitle
from strm.library.planning import Action, Step, Wanted, steps
from strm.library.shelf import Shelf

logger = logging.getLogger(__name__)
TROUBLE = "trouble"


class AlreadyRunning(AniBridgeError):
    """Another run is at work in the library."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, or would be done, with one file; or the trouble with a title, which has no path."""

    title: str
    action: str
    path: str = ""
    detail: str = ""

    def row(self) -> dict[str, Any]:
        return asdict(self)


def sync(*, dry_run: bool = False) -> list[Done]:
    """Bring the library in step with what is chosen. With `dry_run` only say what would be done.

    Raises Misconfigured where it is not set up, and AlreadyRunning.
    """
    if settings.STRM_LIBRARY_DIR is None:
        raise Misconfigured("set STRM_LIBRARY_DIR to the folder that the library shall be in")
    base = links.base_url()
    with _alone():
        run = _Run(Shelf(settings.STRM_LIBRARY_DIR), base, dry_run)
        run.orphans()
        for title in LibraryTitle.objects.order_by("pk"):
            run.title(title)
        return run.done


@contextmanager
def _alone() -> Iterator[None]:
    path = settings.DATA_DIR / "run" / "strm-library.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning("the library is being brought in step already") from None
        yield


class _Run:
    def __init__(self, shelf: Shelf, base: str, dry_run: bool) -> None:
        self.shelf, self.base, self.dry_run = shelf, base, dry_run
        self.done: list[Done] = []
        self.claimed: dict[str, int] = {}
        """Folder, without case → the title whose it is."""

    def orphans(self) -> None:
        """Files of titles that somebody has deleted."""
        files = list(LibraryFile.objects.orphaned())
        self._carry_out("", steps(self.shelf, files, ()) if files else [])

    def title(self, title: LibraryTitle) -> None:
        """One title: its files, or the trouble with it."""
        files = list(title.files.all())
        trouble = ""
        try:
            if not title.enabled:
                self._carry_out(str(title), steps(self.shelf, files, ()), title)
            else:
                trouble = self._listed(title, files)
        except Cancelled:
            raise
        except AniBridgeError as error:
            trouble = str(error)
        except OSError as error:
            trouble = f"the library could not be written: {error.strerror or error}"
        if trouble:
            logger.info("library: %s: %s", title, trouble)
            self.done.append(Done(str(title), TROUBLE, detail=shorten(trouble)))
        if not self.dry_run:
            news = {"trouble": trouble, "synced_at": timezone.now(), "name": title.name}
            LibraryTitle.objects.filter(pk=title.pk).update(**news)

    def _listed(self, title: LibraryTitle, files: list[LibraryFile]) -> str:
        """Carries out what the source's listing comes to; returns what was left as it is, and why."""
        listing = listing_of(Wish(title.site, title.slug, tuple(title.languages)))
        title.name = shorten(listing.name, 300)
        has_videos = any(file.kind == FileKind.STRM for file in files)
        troubles = [f"season {season}: {told}" for season, told in listing.unread.items()]
        if not listing.entries:
            # What was there yesterday is rather a page in trouble than a series that nobody has any more.
            kept = ": its files stay" if has_videos else ""
            return "; ".join([*troubles, f"nothing is listed in these languages{kept}"])
        folder = self._folder(title, listing)
        wanted = [self._strm(title, listing, entry, folder) for entry in listing.entries]
        if settings.STRM_LIBRARY_NFO:
            name, content = details.nfo(listing)
            wanted.append(_wanted(FileKind.NFO, folder / name, content))
        if settings.STRM_LIBRARY_COVERS and listing.cover:
            wanted += self._cover(listing, files, folder, troubles)
        unread = set(listing.unread)
        planned = steps(self.shelf, files, wanted, stays=lambda file: file.season in unread)
        self._carry_out(str(title), planned, title)
        return "; ".join(troubles)

    def _folder(self, title: LibraryTitle, listing: Listing) -> PurePosixPath:
        """The title's folder: the plain name belongs to whoever has it already."""
        plain = naming.folder_of(listing)
        for folder in (plain, naming.folder_of(listing, mark=f"{title.site} {title.slug}")):
            owner = self.claimed.setdefault(str(folder).casefold(), title.pk)
            others = LibraryFile.objects.exclude(title=title).exclude(title=None)
            if owner == title.pk and not others.filter(path__istartswith=f"{folder}/").exists():
                return folder
        raise AniBridgeError(f"«{plain}» is the folder of another title")

    def _strm(
        self, title: LibraryTitle, listing: Listing, entry: Entry, folder: PurePosixPath
    ) -> Wanted:
        identity = Identity(title.site, title.slug, entry.season, entry.episode, entry.language)
        ends = links.ending(timezone.now())
        line = links.stream_url(identity, base_url=self.base, expires_at=ends)
        path = naming.path_of(listing, entry, folder)
        return _wanted(FileKind.STRM, path, f"{line}\n".encode(), entry.season, entry.episode)

    def _cover(
        self,
        listing: Listing,
        files: Collection[LibraryFile],
        folder: PurePosixPath,
        troubles: list[str],
    ) -> list[Wanted]:
        """The cover, which is only fetched when it is another one or missing; the one from before while it cannot be."""
        held = next((file for file in files if file.kind == FileKind.COVER), None)
        before: list[Wanted] = []
        if held is not None:
            path = str(folder / PurePosixPath(held.path).name)
            before = [Wanted(FileKind.COVER, path, held.checksum, None, source=held.source)]
            there = self.shelf.checksum(held.path)
            if held.source == listing.cover and there is not None:
                return before
        if self.dry_run:
            name = "poster.jpg" if held is None else PurePosixPath(held.path).name
            return [Wanted(FileKind.COVER, str(folder / name), "", None, source=listing.cover)]
        try:
            name, content = details.cover(listing)
        except Cancelled:
            raise
        except AniBridgeError as error:
            troubles.append(f"its cover: {error}")
            missing = held is not None and self.shelf.checksum(held.path) is None
            return [] if missing else before
        return [_wanted(FileKind.COVER, folder / name, content, source=listing.cover)]

    def _carry_out(self, name: str, planned: list[Step], title: LibraryTitle | None = None) -> None:
        for step in planned:
            if not self.dry_run:
                space.require(0, self.shelf.root)
                try:
                    _do(self.shelf, step, title)
                except (AniBridgeError, IntegrityError) as error:
                    told = Done(name, Action.LEAVE, step.path, shorten(str(error)))
                    self.done.append(told)
                    continue
            if step.action is not Action.ADOPT:
                self.done.append(Done(name, step.action, step.path, step.reason))


def _wanted(
    kind: FileKind,
    path: PurePosixPath,
    content: bytes,
    season: int | None = None,
    episode: int | None = None,
    source: str = "",
) -> Wanted:
    checksum = hashlib.sha256(content).hexdigest()
    return Wanted(kind, str(path), checksum, content, season, episode, source)


def _do(shelf: Shelf, step: Step, title: LibraryTitle | None) -> None:
    """One step. A file is written down before it is there: one that nobody knows of can never come about."""
    file, wanted = step.file, step.wanted
    if step.action is Action.LEAVE:
        return
    if wanted is None:
        assert file is not None
        if step.action is Action.REMOVE:
            shelf.remove(file.path)
        file.delete()
        return
    if step.action is Action.RENAME:
        assert file is not None
        shelf.rename(file.path, wanted.path)
        file.path = wanted.path
        file.save(update_fields=["path", "written_at"])
        if wanted.content is None or wanted.checksum == file.checksum:
            return
    if step.action is Action.ADD:
        assert wanted.content is not None
        row = _noted(file, wanted, title)
        try:
            shelf.add(wanted.path, wanted.content)
        except AniBridgeError:
            row.delete()
            raise
        return
    if step.action in (Action.CHANGE, Action.RENAME):
        assert wanted.content is not None
        shelf.replace(wanted.path, wanted.content)
    _noted(file, wanted, title)


@transaction.atomic
def _noted(file: LibraryFile | None, wanted: Wanted, title: LibraryTitle | None) -> LibraryFile:
    row = file or LibraryFile(
        title=title, kind=wanted.kind, season=wanted.season, episode=wanted.episode
    )
    row.path, row.checksum, row.source = wanted.path, wanted.checksum, wanted.source
    row.save()
    return row
