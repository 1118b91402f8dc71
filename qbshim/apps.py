from django.apps import AppConfig


class QbshimConfig(AppConfig):
    name = "qbshim"
    verbose_name = "qBittorrent API"
