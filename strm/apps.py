from django.apps import AppConfig


class StrmConfig(AppConfig):
    name = "strm"
    verbose_name = "STRM"

    def ready(self) -> None:
        """Registers the system checks, writing .strm files as a way to deliver a release, and pushed links as streams."""
        from downloads import deliveries
        from downloads.orders import LINK_SITE
        from strm import checks, pushed, sources  # noqa: F401
        from strm.delivering import MODE, deliver

        deliveries.register(MODE, deliver)
        sources.SOURCES[LINK_SITE] = pushed.find
