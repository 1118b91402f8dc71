from django.apps import AppConfig


class WantedConfig(AppConfig):
    name = "wanted"
    verbose_name = "Wanted"
