"""Admin shows and asks; services act. Nobody edits a status here."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from anibridge.lib.admin import ReadOnlyAdmin
from downloads import services
from downloads.links_admin import FeedAdmin as FeedAdmin
from downloads.links_admin import FilterRuleAdmin as FilterRuleAdmin
from downloads.links_admin import LinkAdmin as LinkAdmin
from downloads.models import Heartbeat, Job, JobEvent, JobFile
from downloads.registry_admin import DownloaderAdmin as DownloaderAdmin

MOST_REFUSALS = 10
"""Told one by one after an action for many."""


class ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class JobFileInline(ReadOnlyInline):
    model = JobFile
    fields = ("season", "episode", "path", "size_bytes", "duration_seconds")


class JobEventInline(ReadOnlyInline):
    model = JobEvent
    fields = ("at", "old", "new", "reason", "source_site")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "status", "bar", "source_site", "category", "updated_at")
    list_filter = ("status", "source_site", "category")
    search_fields = ("name", "infohash", "slug")
    date_hierarchy = "created_at"
    inlines = (JobFileInline, JobEventInline)
    actions = ("retry", "cancel", "remove", "remove_with_files")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Deleted jobs are kept for the record only."""
        return super().get_queryset(request).filter(removed_at=None)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the actions."""
        return bool(request.user.has_perm("downloads.change_job"))

    @admin.display(description="progress", ordering="progress")
    def bar(self, job: Job) -> SafeString:
        percent = round(job.progress * 100)
        return format_html('<progress max="100" value="{0}">{0}%</progress> {0}%', percent)

    @admin.action(description="Queue again", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._say(request, queryset, services.retry_many(_ids(queryset)), "queued")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._say(request, queryset, services.cancel_many(_ids(queryset)), "cancelled")

    @admin.action(description="Delete, keep files", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        told = services.remove_many(_ids(queryset), delete_files=False)
        self.message_user(request, f"{len(told.jobs)} deleted")

    @admin.action(description="Delete with files", permissions=["operate"])
    def remove_with_files(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        told = services.remove_many(_ids(queryset), delete_files=True)
        self.message_user(request, f"{len(told.jobs)} deleted")

    def _say(
        self, request: HttpRequest, queryset: QuerySet[Job], told: services.Told, what: str
    ) -> None:
        """How many it was done to, and to whom it could not be."""
        few = list(told.refusals)[:MOST_REFUSALS]
        for job in queryset.model.objects.filter(pk__in=few).order_by("pk"):
            self.message_user(request, f"{job}: {told.refusals[job.pk]}", messages.WARNING)
        more = len(told.refusals) - len(few)
        if more:
            self.message_user(request, f"… and {more} others", messages.WARNING)
        self.message_user(request, f"{len(told.jobs)} {what}")


def _ids(jobs: QuerySet[Job]) -> list[int]:
    return list(jobs.order_by().values_list("pk", flat=True))


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "role", "beat_at")
