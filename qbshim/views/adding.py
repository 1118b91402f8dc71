"""`torrents/add`: the form as clients of every age fill it in, and nothing of it that could not be understood."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from downloads.models import Subfolder
from qbshim import adding, paths, preferences
from qbshim.endpoint import COMMAND, Params, endpoint
from qbshim.errors import NotATorrentFile, ParameterInvalid

MAX_TORRENT_FILE: Final = 16 * 2**20
MAX_LINKS: Final = 2000
"""In one request; each is a transaction of its own."""
MAX_RATIO, MAX_MINUTES = 9999.0, 525_600
GLOBAL, NONE = -2, -1
_LAYOUTS: Final[Mapping[str, Subfolder]] = {
    "original": Subfolder.USUAL,
    "subfolder": Subfolder.ALWAYS,
    "nosubfolder": Subfolder.NEVER,
}


@endpoint(COMMAND)
def add(request: HttpRequest, params: Params) -> str:
    """Takes magnets, links and .torrent files; `Ok.` when at least one was taken, also when it was there before."""
    links = params.listed("urls", "\n")
    if len(links) > MAX_LINKS:
        raise ParameterInvalid(f"more than {MAX_LINKS} links in one request")
    adding.add(links, _options(params), list(_files(request)))
    return "Ok."


def _options(params: Params) -> adding.AddOptions:
    """Raises OutsideDownloads for a save path that nobody may write to."""
    wanted = preferences.stored()
    save_path = params.text("savepath").strip()
    follows = not save_path and preferences.given(wanted, "auto_tmm_enabled")
    follows = params.flag("autoTMM", default=follows)
    limit = params.integer("dlLimit") or 0
    return adding.AddOptions(
        category=params.text("category"),
        save_path=paths.anywhere(save_path) if save_path and not follows else None,
        auto_tmm=follows,
        paused=params.flag(
            "stopped", "paused", default=preferences.given(wanted, "add_stopped_enabled")
        ),
        forced=params.flag("forced"),
        first=params.flag(
            "addToTopOfQueue", default=preferences.given(wanted, "add_to_top_of_queue")
        ),
        rename=" ".join(params.text("rename").split()),
        tags=params.listed("tags", ","),
        subfolder=_subfolder(params, preferences.given(wanted, "torrent_content_layout")),
        rate_limit=limit if limit > 0 else None,
        kept=_kept(params, follows=follows),
    )


def _kept(params: Params, *, follows: bool) -> dict[str, Any]:
    """What is only given back, by keys of `torrents/info`. Whoever follows a category has no paths of his own."""
    unfinished = params.text("downloadPath") if params.flag("useDownloadPath") else ""
    return {
        "seq_dl": params.flag("sequentialDownload"),
        "f_l_piece_prio": params.flag("firstLastPiecePrio"),
        "up_limit": max(params.integer("upLimit") or 0, 0),
        "download_path": "" if follows else paths.kept(unfinished),
        **share_limits(params),
    }


def share_limits(params: Params) -> dict[str, Any]:
    """The three limits of sharing, bounded as qBittorrent bounds them; what is no number is «as for all»."""
    return {
        "ratio_limit": _ratio(params.text("ratioLimit")),
        "seeding_time_limit": _minutes(params, "seedingTimeLimit"),
        "inactive_seeding_time_limit": _minutes(params, "inactiveSeedingTimeLimit"),
    }


def _ratio(text: str) -> float:
    try:
        ratio = float(text.strip()[:40])
    except ValueError:
        return GLOBAL
    if math.isnan(ratio):
        return GLOBAL
    return float(NONE) if ratio < GLOBAL else min(ratio, MAX_RATIO)


def _minutes(params: Params, name: str) -> int:
    minutes = params.integer(name)
    if minutes is None:
        return GLOBAL
    return NONE if minutes < GLOBAL else min(minutes, MAX_MINUTES)


def _subfolder(params: Params, usual: str) -> Subfolder:
    """`contentLayout`, or `root_folder` of older clients, or what the preferences say."""
    layout = params.text("contentLayout").strip().lower()
    if layout in _LAYOUTS:
        return _LAYOUTS[layout]
    if "root_folder" in params and not params.flag("root_folder", default=True):
        return Subfolder.NEVER
    return _LAYOUTS.get(str(usual).lower(), Subfolder.USUAL)


def _files(request: HttpRequest) -> Iterator[tuple[str, bytes]]:
    """Name and content of every part with a file name, whatever the field is called. Raises NotATorrentFile."""
    for _, uploads in request.FILES.lists():
        for upload in uploads:
            yield str(upload.name), _content(upload)


def _content(upload: UploadedFile) -> bytes:
    if not upload.size or upload.size > MAX_TORRENT_FILE:
        raise NotATorrentFile(f"Error: '{upload.name}' is not a valid torrent file.")
    return bytes(upload.read())
