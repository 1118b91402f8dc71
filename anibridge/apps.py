from django.apps import AppConfig


class AniBridgeConfig(AppConfig):
    name = "anibridge"
    verbose_name = "AniBridge"
