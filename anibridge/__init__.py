"""AniBridge: wiring on top, kernel at the bottom."""

from anibridge.celery import app as celery_app

__all__ = ["celery_app"]
