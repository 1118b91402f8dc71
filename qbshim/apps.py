from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class QbshimConfig(AppConfig):
    name = "qbshim"
    verbose_name = "qBittorrent API"

    def ready(self) -> None:
        """The database writes the change log by itself; the folders of clients' categories hold for every way in."""
        from downloads import categories as shared
        from qbshim import categories, triggers

        shared.finders.append(categories.own_folder)
        shared.keep(categories.Keeper())
        pre_migrate.connect(triggers.on_migration, sender=self)
        post_migrate.connect(triggers.after_migration, sender=self)
