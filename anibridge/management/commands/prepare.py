"""`manage.py prepare`: bring the database up to date and create what every start needs. Safe to repeat."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from anibridge import processes
from anibridge.celery import prepare_broker
from anibridge.lib.errors import Misconfigured
from catalogue import services


class Command(BaseCommand):
    help = "Migrate, create the admin user and the rows of the sites; `up` does this by itself."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            processes.require_writable(settings.DATA_DIR, "ANIBRIDGE_DATA_DIR")
            processes.require_writable(settings.DOWNLOAD_DIR, "ANIBRIDGE_DOWNLOAD_DIR")
            prepare_broker()
            call_command("migrate", verbosity=0, interactive=False)
            self._create_admin()
            services.sync_sites()
        except Misconfigured as error:
            raise CommandError(str(error)) from None

    def _create_admin(self) -> None:
        users = get_user_model().objects
        if users.filter(username=settings.ADMIN_USER).exists():
            return
        users.create_superuser(settings.ADMIN_USER, password=settings.ADMIN_PASSWORD)
        where = settings.ADMIN_PASSWORD_FILE
        told = f"its password is in {where}" if where.exists() else "with ANIBRIDGE_ADMIN_PASSWORD"
        self.stdout.write(f"Created the user «{settings.ADMIN_USER}», {told}.")
