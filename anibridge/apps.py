from django.apps import AppConfig


class AniBridgeConfig(AppConfig):
    name = "anibridge"
    verbose_name = "AniBridge"

    def ready(self) -> None:
        """Importing registers the checks."""
        from anibridge import checks  # noqa: F401
