"""What beat has done for the streams."""

import logging

from celery import shared_task
from django.conf import settings

from anibridge.lib.errors import AniBridgeError
from strm.cleanup import forget
from strm.library import syncing

logger = logging.getLogger(__name__)


@shared_task(name="strm.cleanup")
def cleanup() -> None:
    """Once a day: forget old playbacks and stream addresses. Safe to run twice."""
    forget()


@shared_task(name="strm.library")
def library(*, scheduled: bool = False) -> None:
    """Bring the library in step; by the schedule only where its owner wants that. Safe to run twice."""
    if scheduled and not (settings.STRM_LIBRARY_HOURS and settings.STRM_LIBRARY_DIR):
        return
    try:
        syncing.sync()
    except AniBridgeError as error:
        logger.warning("the STRM library is as it was: %s", error)
