from django.apps import AppConfig


class TorznabConfig(AppConfig):
    name = "torznab"
    verbose_name = "Torznab"
