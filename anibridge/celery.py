"""The Celery application: queues, heartbeats, and parking of running jobs when a worker stops."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery, signals
from kombu.transport import TRANSPORT_ALIASES

from anibridge.lib import turns

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")

TRANSPORT_ALIASES["filesystem"] = "anibridge.lib.filebroker:Transport"


class App(Celery):
    """Celery that leaves a message unsent rather than wait for its broker: a message is a nudge, and may get lost.

    Redis' client waits for ever for a server that takes a connection and says nothing, and Kombu tries one that
    refuses again for seconds.
    """

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        if (url or self.conf.broker_write_url or "").startswith(("redis:", "rediss:")):
            options = kwargs.get("transport_options") or {}
            kwargs["transport_options"] = SENDING | options
        return super().connection_for_write(url, **kwargs)

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        with turns.aside():
            return super().send_task(*args, **kwargs)


SENDING = {"socket_connect_timeout": 2.0, "socket_timeout": 3.0, "max_retries": 0}
"""How long whoever sends a message waits for Redis."""

app = App("anibridge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

logger = logging.getLogger(__name__)


@signals.setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Celery would replace the handlers; ours from the settings stay."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)


def prepare_broker() -> None:
    """Create the filesystem broker's folders, where it is the broker."""
    from django.conf import settings

    from anibridge.lib import filebroker

    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if "data_folder_in" in options:
        filebroker.prepare(Path(options["data_folder_in"]), Path(options["control_folder"]))


@signals.celeryd_init.connect
def _worker_starts(sender: Any, **_: Any) -> None:
    """Before it takes a message; and its children must not inherit the connection."""
    from django.db import DatabaseError, connection

    from downloads import heartbeats

    try:
        heartbeats.mark_starting(str(sender))
    except DatabaseError as error:
        logger.warning("%s cannot read the database yet: %s", sender, error)
    finally:
        connection.close()


@signals.worker_ready.connect
def _worker_ready(sender: Any, **_: Any) -> None:
    from downloads.heartbeats import Pulse

    queues = sorted(queue.name for queue in sender.task_consumer.queues)
    for queue in queues:
        Pulse(f"{sender.hostname}/{queue}", queue).start()
    if "downloads" in queues:
        # What was parked at the last stop goes on now, not at the sweeper's next turn.
        sender.app.send_task("downloads.sweep", expires=60, retry=False)


@signals.beat_init.connect
def _beat_init(sender: Any, **_: Any) -> None:
    import socket

    from downloads.heartbeats import Pulse

    Pulse(f"beat@{socket.gethostname()}", "beat").start()


@signals.worker_shutting_down.connect
def _park(sender: Any, **_: Any) -> None:
    """Give the running jobs back instead of finishing them: the downloads see it within a second or two.

    In a thread of its own, since this is called from a signal handler in the worker's main process.
    """

    def park() -> None:
        from django.db import connection

        from downloads import queue

        try:
            parked = queue.close(str(sender))
            if parked:
                logger.info("%s is stopping: %d downloads back in the queue", sender, parked)
        finally:
            connection.close()

    thread = threading.Thread(target=park, name="park")
    thread.start()
