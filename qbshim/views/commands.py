"""`torrents/…`: commands. For hashes that are not there they do nothing and say 200, as qBittorrent does."""

from collections.abc import Iterable

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from qbshim import paths, services
from qbshim.endpoint import COMMAND, Params, endpoint
from qbshim.errors import Conflict, NotATorrentFile, ParameterMissing

MAX_TORRENT_FILE = 16 * 2**20


@endpoint(COMMAND)
def add(request: HttpRequest, params: Params) -> str:
    """Takes magnets of ours, one a line; `Ok.` when at least one was, also when it was there before."""
    for upload in _uploads(request):
        if not _is_torrent(upload):
            raise NotATorrentFile(f"Error: '{upload.name}' is not a valid torrent file.")
    save_path = params.text("savepath").strip()
    options = services.AddOptions(
        category=params.text("category"),
        save_path=paths.local(save_path) if save_path else None,
        paused=params.flag("stopped", "paused"),
        rename=params.text("rename"),
        tags=params.listed("tags", ","),
    )
    services.add(params.listed("urls", "\n"), options)
    return "Ok."


@endpoint(COMMAND)
def delete(request: HttpRequest, params: Params) -> None:
    """Without `deleteFiles` the files stay: Sonarr leaves it out, qBittorrent would answer 400."""
    services.delete(params.hashes(), delete_files=params.flag("deleteFiles"))


@endpoint(COMMAND)
def stop(request: HttpRequest, params: Params) -> None:
    services.stop(params.hashes())


@endpoint(COMMAND)
def start(request: HttpRequest, params: Params) -> None:
    services.start(params.hashes())


@endpoint(COMMAND)
def set_force_start(request: HttpRequest, params: Params) -> None:
    """Starts what is paused. There is no way past the queue."""
    params.require("hashes", "value")
    if params.flag("value"):
        services.start(params.hashes())


@endpoint(COMMAND)
def no_effect(request: HttpRequest, params: Params) -> None:
    """recheck and reannounce: a finished file was checked before it was put in place, and there is no tracker."""
    params.hashes()


@endpoint(COMMAND)
def priority(request: HttpRequest, params: Params) -> None:
    """The queue cannot be reordered, and the preferences say so; Sonarr tolerates this very answer."""
    params.hashes()
    raise Conflict("Torrent queueing must be enabled")


@endpoint(COMMAND)
def set_share_limits(request: HttpRequest, params: Params) -> None:
    """Accepted without effect: nothing is shared, and a finished item says that its limit is reached."""
    params.hashes()
    if not any(name in params for name in ("ratioLimit", "seedingTimeLimit")):
        raise ParameterMissing("needs ratioLimit or seedingTimeLimit")


@endpoint(COMMAND)
def set_location(request: HttpRequest, params: Params) -> None:
    params.require("hashes", "location")
    services.set_location(params.hashes(), params.text("location"))


@endpoint(COMMAND)
def rename(request: HttpRequest, params: Params) -> None:
    params.require("hash", "name")
    services.rename(params.text("hash"), params.text("name"))


def _uploads(request: HttpRequest) -> Iterable[UploadedFile]:
    """Every part with a file name counts, whatever the field is called."""
    for _, uploads in request.FILES.lists():
        yield from uploads


def _is_torrent(upload: UploadedFile) -> bool:
    """Whether it looks like a bencoded dictionary with an info dictionary. Torrent files are not fetched here yet,
    but a client should hear the difference between that and rubbish."""
    if not upload.size or upload.size > MAX_TORRENT_FILE:
        return False
    data = upload.read().strip()
    return data.startswith(b"d") and data.endswith(b"e") and b"4:infod" in data
