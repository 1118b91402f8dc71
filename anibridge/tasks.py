"""What beat has done for the installation itself."""

from importlib import import_module

from celery import shared_task
from django.conf import settings


@shared_task(name="anibridge.clear_sessions")
def clear_sessions() -> None:
    """Delete sessions that have ended; Django leaves that to somebody."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
