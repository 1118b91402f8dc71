"""Ways to deliver a release other than fetching it, registered by the apps above.

A job names its way as `mode` in `magnet_metadata`; «download» is what the engines do. Another app registers its own in
`AppConfig.ready()`: `deliveries.register("strm", deliver)`.
"""

from collections.abc import Callable

from anibridge.lib.errors import AniBridgeError
from downloads.engines.base import Outcome, Run
from downloads.models import Job

DOWNLOAD = "download"
Delivery = Callable[[Run], Outcome]
"""Carries a run to its end and says what came of it; raises AniBridgeError with words for people."""

_ways: dict[str, Delivery] = {}


class NoSuchDelivery(AniBridgeError):
    """Nothing in this installation delivers in the way that the job asks for."""


def register(mode: str, deliver: Delivery) -> None:
    """From now on, jobs of this mode are carried by `deliver`; the one that was registered last counts."""
    _ways[mode] = deliver


def unregister(mode: str) -> None:
    """Jobs of this mode fail again, with words."""
    _ways.pop(mode, None)


def of(job: Job) -> Delivery | None:
    """The way of this job; None when it is to be downloaded. Raises NoSuchDelivery."""
    mode = str(job.magnet_metadata.get("mode") or DOWNLOAD)
    if mode == DOWNLOAD:
        return None
    if mode not in _ways:
        what = "does not write .strm files yet" if mode == "strm" else f"has no way «{mode[:40]}»"
        raise NoSuchDelivery(f"this installation {what}")
    return _ways[mode]
