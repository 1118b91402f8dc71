"""System checks: what an operator should hear before the first request, each with an id."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from anibridge.lib import ytdlp
from catalogue.sites import PLUGIN_PROBLEMS


@register()
def public_url(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Links are built from it, so it has to be a whole address."""
    url = settings.PUBLIC_URL
    if not url or url.startswith(("http://", "https://")):
        return []
    return [
        Error(
            f"ANIBRIDGE_PUBLIC_URL is «{url}»",
            hint="Write the whole address, e.g. https://anibridge.example.",
            id="anibridge.E001",
        )
    ]


@register()
def public_save_path(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """The *arrs refuse a path that is not absolute for their system."""
    path = settings.QBIT_PUBLIC_SAVE_PATH
    if not path or path.startswith(("/", "\\\\")) or path[1:3] in (":\\", ":/"):
        return []
    return [
        Error(
            f"QBIT_PUBLIC_SAVE_PATH is «{path}»",
            hint="Write the absolute path under which the *arrs see the download folder.",
            id="anibridge.E002",
        )
    ]


@register()
def ffmpeg(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Without it HLS downloads stay in the MPEG-TS container."""
    if ytdlp.find_ffmpeg():
        return []
    return [
        Warning(
            "ffmpeg was not found",
            hint="Install ffmpeg, or the Python package imageio-ffmpeg.",
            id="anibridge.W001",
        )
    ]


@register()
def site_plugins(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """A plug-in that cannot be used is left out; its owner should know why."""
    return [
        Warning(
            f"the site plug-in «{name}» {problem}",
            hint="See docs/plugins.md; without it everything else works.",
            id="anibridge.W002",
        )
        for name, problem in PLUGIN_PROBLEMS.items()
    ]
