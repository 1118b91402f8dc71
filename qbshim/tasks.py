"""Celery's way into the qBittorrent API: clearing away what nobody can need any more."""

from celery import shared_task

from qbshim import cleanup


@shared_task(name="qbshim.cleanup")
def clean_up() -> None:
    """Forget sessions, answers, changes and failed logins that are over. Safe to run at any time."""
    cleanup.run()
