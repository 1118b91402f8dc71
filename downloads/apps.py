from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DownloadsConfig(AppConfig):
    name = "downloads"
    verbose_name = "Downloads"

    def ready(self) -> None:
        """The tables always hold the downloader that AniBridge is itself; magnets for pushed links find their link."""
        post_migrate.connect(_ensure_builtin, sender=self)
        from downloads import orders
        from downloads.links import resolving

        orders.resolvers[orders.LINK_SITE] = resolving.url_of


def _ensure_builtin(**_: Any) -> None:
    from downloads.registry import ensure_builtin

    ensure_builtin()
