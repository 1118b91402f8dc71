from django.apps import AppConfig


class StrmConfig(AppConfig):
    name = "strm"
    verbose_name = "STRM"
