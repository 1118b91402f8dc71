"""What an operator should hear about the playback proxy before the first player comes."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from anibridge.lib import ytdlp
from anibridge.lib.errors import Misconfigured
from anibridge.lib.guard import AllowedHosts


@register()
def open_doors(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Said at every start, loudly: without signatures links do not end, or everybody has them."""
    if settings.STRM_PROXY_AUTH == "none":
        return [
            Warning(
                "STRM_PROXY_AUTH is «none»: whoever reaches this server can play everything that it finds",
                hint="Leave it at «token», unless nobody but you can reach the server.",
                id="strm.W001",
            )
        ]
    if settings.STRM_PROXY_AUTH == "apikey":
        return [
            Warning(
                "STRM_PROXY_AUTH is «apikey»: every .strm file holds one key that plays everything, for good",
                hint="Leave it at «token»: each link is then signed for what it plays.",
                id="strm.W002",
            )
        ]
    return []


@register()
def addresses(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Links are built from the base URL; the hosts are read at the first stream."""
    found: list[CheckMessage] = []
    base = settings.STRM_PUBLIC_BASE_URL
    if base and not base.startswith(("http://", "https://")):
        found.append(
            Error(
                f"STRM_PUBLIC_BASE_URL is «{base}»",
                hint="Write the whole address under which players reach AniBridge.",
                id="strm.E001",
            )
        )
    if settings.STRM_PROXY_MODE == "proxy" and not (base or settings.PUBLIC_URL):
        found.append(
            Warning(
                "STRM_PROXY_MODE is «proxy», but players are not told where AniBridge is",
                hint="Set STRM_PUBLIC_BASE_URL, e.g. http://192.168.1.10:8000.",
                id="strm.W003",
            )
        )
    try:
        AllowedHosts.parse(settings.STRM_PROXY_ALLOWED_HOSTS)
    except Misconfigured as error:
        found.append(Error(f"STRM_PROXY_ALLOWED_HOSTS: {error}", id="strm.E002"))
    return found


@register()
def files(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """What was set and could not come true."""
    found: list[CheckMessage] = []
    if settings.STRM_LIBRARY_HOURS and settings.STRM_LIBRARY_DIR is None:
        found.append(
            Warning(
                "STRM_LIBRARY_HOURS is set, but nobody said where the library shall be",
                hint="Set STRM_LIBRARY_DIR to a folder.",
                id="strm.W004",
            )
        )
    if settings.STRM_REMUX != "off" and ytdlp.find_ffmpeg() is None:
        found.append(
            Warning(
                f"STRM_REMUX is «{settings.STRM_REMUX}», but there is no ffmpeg: players get playlists",
                hint="Install ffmpeg.",
                id="strm.W005",
            )
        )
    return found
