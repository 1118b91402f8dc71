"""What the library's files are called, in the way that Jellyfin, Kodi and Emby read.

Series (2011)/Season 01/Series - S01E05 - Title.strm      Series (2011)/tvshow.nfo, poster.jpg
Movies/Title (2010)/Title (2010).strm                     Movies/Title (2010)/movie.nfo, poster.jpg
"""

from pathlib import PurePosixPath

from django.conf import settings

from downloads.naming import MAX_PART_BYTES, Naming, clean, safe_part, shortened
from strm.library.listing import Entry, Listing


def folder_of(listing: Listing, *, mark: str = "") -> PurePosixPath:
    """The folder of a title below the library. `mark` tells it from another one of the same name and year."""
    tail = (f" ({listing.year})" if listing.year else "") + (f" [{mark}]" if mark else "")
    tail = safe_part(f"x{tail}", limit=MAX_PART_BYTES // 2)[1:]
    name = clean(listing.name).removesuffix(f" ({listing.year})")
    own = shortened(name, MAX_PART_BYTES - len(tail.encode())) + tail
    return _top(listing) / own


def _top(listing: Listing) -> PurePosixPath:
    named = (
        settings.STRM_LIBRARY_MOVIES_FOLDER
        if listing.is_film
        else settings.STRM_LIBRARY_SERIES_FOLDER
    )
    return PurePosixPath(*(safe_part(part) for part in named.split("/") if part.strip()))


def path_of(listing: Listing, entry: Entry, folder: PurePosixPath) -> PurePosixPath:
    """The .strm file of an episode, or of a film, in its title's folder."""
    if entry.is_film:
        return folder / f"{folder.name}.strm"
    naming = Naming(
        kind="episode",
        title=listing.name,
        season=entry.season,
        episodes=(entry.episode,),
        episode_title=entry.title,
        folder="x",
    )
    path = naming.path()
    return folder / path.parent.name / f"{path.name}.strm"
