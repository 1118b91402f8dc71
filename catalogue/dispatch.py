"""Waking a worker for the catalogue. A lost message costs a minute: the schedule asks again."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def refresh_soon(site_id: str) -> bool:
    """Ask a worker to refresh a site's title index; False when there is no broker."""
    try:
        current_app.send_task("catalogue.refresh_index", args=(site_id,), retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): %s is refreshed when the schedule says so", error, site_id)
        return False
    return True
