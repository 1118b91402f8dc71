from django.apps import AppConfig


class StrmConfig(AppConfig):
    name = "strm"
    verbose_name = "STRM"

    def ready(self) -> None:
        """Registers the system checks, and writing .strm files as a way to deliver a release."""
        from downloads import deliveries
        from strm import checks  # noqa: F401
        from strm.delivering import MODE, deliver

        deliveries.register(MODE, deliver)
