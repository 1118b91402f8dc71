"""Waking the workers for links and feeds. A message is only a nudge: the schedule looks as well."""

import logging
from collections.abc import Callable
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def process() -> None:
    """After COMMIT, have new links looked at; once, however many came in this transaction."""
    if any(entry[1] is _send_process for entry in transaction.get_connection().run_on_commit):
        return
    transaction.on_commit(_send_process, robust=True)


def poll(feed_id: int) -> None:
    """After COMMIT, have a feed asked that is due."""
    transaction.on_commit(partial(_send_poll, feed_id), robust=True)


def _send_process() -> None:
    _quietly(lambda: current_app.send_task("downloads.process_links", retry=False))


def _send_poll(feed_id: int) -> None:
    _quietly(lambda: current_app.send_task("downloads.poll_feed", args=(feed_id,), retry=False))


def _quietly(send: Callable[[], object]) -> None:
    try:
        send()
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): links and feeds wait for the schedule", error)
