"""`torrents/…`: commands. For hashes that are not there they do nothing and say 200, as qBittorrent does."""

from django.http import HttpRequest

from downloads import queue
from qbshim import commands, paths
from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import ParameterInvalid, ParameterMissing
from qbshim.views.adding import share_limits

MOST_BYTES = 2**31 - 1


@endpoint(COMMAND)
def delete(request: HttpRequest, params: Params) -> None:
    """Without `deleteFiles` the files stay: Sonarr leaves it out, qBittorrent would answer 400."""
    commands.delete(params.hashes(), delete_files=params.flag("deleteFiles"))


@endpoint(COMMAND)
def stop(request: HttpRequest, params: Params) -> None:
    commands.stop(params.hashes())


@endpoint(COMMAND)
def start(request: HttpRequest, params: Params) -> None:
    commands.start(params.hashes())


@endpoint(COMMAND)
def set_force_start(request: HttpRequest, params: Params) -> None:
    """Starts in any case, as at a real server; with a true value although all slots are taken."""
    params.require("hashes", "value")
    commands.force(params.hashes(), enabled=params.flag("value"))


@endpoint(COMMAND)
def recheck(request: HttpRequest, params: Params) -> None:
    """A worker looks at the files; until it has, the state is checkingUP or checkingDL."""
    commands.recheck(params.hashes())


@endpoint(COMMAND)
def reannounce(request: HttpRequest, params: Params) -> None:
    """There is no tracker: what was put off is tried now, and downloaders are asked how it goes."""
    commands.reannounce(params.hashes())


@endpoint(COMMAND)
def top_priority(request: HttpRequest, params: Params) -> None:
    commands.reorder(params.hashes(), queue.to_top)


@endpoint(COMMAND)
def bottom_priority(request: HttpRequest, params: Params) -> None:
    commands.reorder(params.hashes(), queue.to_bottom)


@endpoint(COMMAND)
def increase_priority(request: HttpRequest, params: Params) -> None:
    commands.reorder(params.hashes(), queue.up)


@endpoint(COMMAND)
def decrease_priority(request: HttpRequest, params: Params) -> None:
    commands.reorder(params.hashes(), queue.down)


@endpoint(COMMAND)
def set_share_limits(request: HttpRequest, params: Params) -> None:
    """Kept and given back: nothing is shared, and a finished item says that its limit is reached. Old Sonarr sends two of
    the three."""
    hashes = params.hashes()
    if not any(name in params for name in ("ratioLimit", "seedingTimeLimit")):
        raise ParameterMissing("needs ratioLimit or seedingTimeLimit")
    commands.keep(hashes, **share_limits(params))


@endpoint(COMMAND)
def set_category(request: HttpRequest, params: Params) -> None:
    """Sonarr's post-import category. Changes the named torrents only, and brings their files to its folder."""
    params.require("hashes", "category")
    commands.set_category(params.hashes(), params.text("category"))


@endpoint(COMMAND)
def set_location(request: HttpRequest, params: Params) -> None:
    params.require("hashes", "location")
    if not params.text("location").strip():
        raise ParameterInvalid("Save path cannot be empty")
    commands.set_location(params.hashes(), paths.anywhere(params.text("location")))


@endpoint(COMMAND)
def set_save_path(request: HttpRequest, params: Params) -> None:
    """setLocation, for those that follow no category."""
    ids = params.hashes("id")
    params.require("path")
    if not params.text("path").strip():
        raise ParameterInvalid("Save path cannot be empty")
    commands.set_save_path(ids, paths.anywhere(params.text("path")))


@endpoint(COMMAND)
def set_download_path(request: HttpRequest, params: Params) -> None:
    """Kept and given back: unfinished files have a folder of their own. An empty path is none."""
    ids = params.hashes("id")
    params.require("path")
    commands.set_download_path(ids, paths.kept(params.text("path")))


@endpoint(COMMAND)
def set_auto_management(request: HttpRequest, params: Params) -> None:
    params.require("hashes", "enable")
    commands.set_auto_management(params.hashes(), enabled=params.flag("enable"))


@endpoint(COMMAND)
def rename(request: HttpRequest, params: Params) -> None:
    params.require("hash", "name")
    commands.rename(params.text("hash"), params.text("name"))


@endpoint(COMMAND)
def rename_file(request: HttpRequest, params: Params) -> None:
    params.require("hash", "oldPath", "newPath")
    commands.rename_file(params.text("hash"), params.text("oldPath"), params.text("newPath"))


@endpoint(COMMAND)
def rename_folder(request: HttpRequest, params: Params) -> None:
    params.require("hash", "oldPath", "newPath")
    commands.rename_folder(params.text("hash"), params.text("oldPath"), params.text("newPath"))


@endpoint(READ)
def download_limit(request: HttpRequest, params: Params) -> dict[str, int]:
    """In bytes a second: 0 for none, -1 for a torrent that is not there."""
    params.require("hashes")
    return commands.limits(params.text("hashes").split("|"), upload=False)


@endpoint(COMMAND)
def set_download_limit(request: HttpRequest, params: Params) -> None:
    """In bytes a second; 0 and less is none. The engine follows within seconds."""
    params.require("hashes", "limit")
    commands.set_download_limit(params.hashes(), min(params.number("limit"), MOST_BYTES))


@endpoint(READ)
def upload_limit(request: HttpRequest, params: Params) -> dict[str, int]:
    params.require("hashes")
    return commands.limits(params.text("hashes").split("|"), upload=True)


@endpoint(COMMAND)
def set_upload_limit(request: HttpRequest, params: Params) -> None:
    """Kept and given back: nothing is sent."""
    params.require("hashes", "limit")
    commands.keep(params.hashes(), up_limit=max(params.number("limit"), 0))


@endpoint(COMMAND)
def set_super_seeding(request: HttpRequest, params: Params) -> None:
    """Kept and given back."""
    params.require("hashes", "value")
    commands.keep(params.hashes(), super_seeding=params.flag("value"))


@endpoint(COMMAND)
def toggle_sequential(request: HttpRequest, params: Params) -> None:
    """Kept and given back: the bytes come in their order anyway."""
    commands.toggle(params.hashes(), "seq_dl")


@endpoint(COMMAND)
def toggle_first_last(request: HttpRequest, params: Params) -> None:
    """Kept and given back."""
    commands.toggle(params.hashes(), "f_l_piece_prio")
