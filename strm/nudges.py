"""Waking a worker for the library. A lost message costs nothing but the wait for the next turn."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def library() -> bool:
    """Ask a worker to bring the library in step; False when there is no broker."""
    try:
        current_app.send_task("strm.library", retry=False, expires=3600)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): the library waits for the schedule", error)
        return False
    return True
