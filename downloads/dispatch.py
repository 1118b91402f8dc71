"""Waking the workers. A message is only a nudge: what is to be done stands in the job's row."""

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def _send(job_id: int) -> None:
    try:
        current_app.send_task("downloads.run_job", args=(job_id,), queue="downloads", retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): job %s waits for the sweeper", error, job_id)


def nudge(job_id: int) -> None:
    """Wake a worker after COMMIT. A lost message is harmless: the sweeper finds the row."""
    transaction.on_commit(lambda: _send(job_id), robust=True)
