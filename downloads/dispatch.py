"""Waking the workers. A message is only a nudge: what is to be done stands in the job's row."""

import logging
from collections.abc import Callable

from celery import current_app
from django.conf import settings
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


def nudge_dispatch() -> None:
    """After COMMIT, have the links that wait given to downloaders; the schedule does it anyway."""
    _once_on_commit(_send_dispatch)


def nudge_delivery() -> None:
    """After COMMIT, have the outbox delivered; the schedule does it anyway."""
    _once_on_commit(_send_delivery)


def nudge_tending() -> None:
    """After COMMIT, have files moved or checked; the sweeper does it anyway."""
    _once_on_commit(_send_tending)


def nudge_clearing() -> None:
    """After COMMIT, have the files of deleted jobs deleted; the sweeper does it anyway."""
    _once_on_commit(_send_clearing)


def _once_on_commit(send: Callable[[], None]) -> None:
    """A transaction that adds a thousand links wakes the dispatcher once."""
    if any(entry[1] is send for entry in transaction.get_connection().run_on_commit):
        return
    transaction.on_commit(send, robust=True)


def _send_dispatch() -> None:
    try:
        current_app.send_task("downloads.dispatch", retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): links wait for the schedule", error)


def _send_tending() -> None:
    try:
        # Beside the downloads: a move may have to copy for minutes.
        current_app.send_task("downloads.tend", queue="downloads", retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): files are moved or checked when the sweeper comes", error)


def _send_clearing() -> None:
    try:
        current_app.send_task("downloads.clear", retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): files are deleted when the sweeper comes", error)


def _send_delivery() -> None:
    try:
        current_app.send_task("downloads.deliver", retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): the outbox waits for the schedule", error)


def nudge_poll(downloader_id: int) -> None:
    """Have one downloader asked how its jobs go, now. What is not picked up before the next turn is dropped."""
    try:
        current_app.send_task(
            "downloads.poll_downloader",
            args=(downloader_id,),
            expires=max(settings.DOWNLOAD_POLL_INTERVAL, 10),
            retry=False,
        )
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): a downloader is asked next time", error)
