"""Proof of life: each worker and beat writes a row every ten seconds; `/readyz` reads them."""

import logging
import threading
from datetime import timedelta

from django.db import DatabaseError, connection
from django.utils import timezone

from downloads.models import Heartbeat

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
FRESH_FOR = timedelta(seconds=35)
FORGOTTEN_AFTER = timedelta(days=1)
STOPPING_FOR = timedelta(minutes=5)
ROLES = ("default", "downloads", "beat")


def beat(name: str, role: str) -> None:
    """Write the row of one process."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"role": role, "beat_at": timezone.now()}
    )


def alive(role: str) -> int:
    """How many processes of a role have been heard lately."""
    since = timezone.now() - FRESH_FOR
    return Heartbeat.objects.filter(role=role, beat_at__gte=since).count()


def mark_stopping(name: str) -> None:
    """A worker is about to stop: until it starts anew, it takes nothing more."""
    beat(f"{name}/stopping", "stopping")


def mark_starting(name: str) -> None:
    """A worker starts; what was said of an earlier one of this name is over."""
    Heartbeat.objects.filter(name=f"{name}/stopping").delete()


def is_stopping(name: str) -> bool:
    """Whether a worker has said that it stops, and may not have done so yet."""
    since = timezone.now() - STOPPING_FOR
    return Heartbeat.objects.filter(name=f"{name}/stopping", beat_at__gte=since).exists()


def silent() -> list[str]:
    """The roles of which no process has been heard lately."""
    since = timezone.now() - FRESH_FOR
    heard = set(Heartbeat.objects.filter(beat_at__gte=since).values_list("role", flat=True))
    return [role for role in ROLES if role not in heard]


class Pulse:
    """A daemon thread that beats until `stop`; then the row goes, since the process is known to be gone."""

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role = name, role
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin beating; the first beat is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._over.set()

    def _run(self) -> None:
        while True:
            try:
                if self._over.is_set():
                    Heartbeat.objects.filter(name=self.name).delete()
                    break
                beat(self.name, self.role)
                Heartbeat.objects.filter(beat_at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
            except DatabaseError as error:
                logger.warning("no heartbeat: %s", error)
            finally:
                connection.close()
            self._over.wait(EVERY_SECONDS)
