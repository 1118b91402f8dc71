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
from downloads.errors import IllegalTransition
from downloads.links_admin import FeedAdmin as FeedAdmin
from downloads.links_admin import FilterRuleAdmin as FilterRuleAdmin
from downloads.links_admin import LinkAdmin as LinkAdmin
from downloads.models import Heartbeat, Job, JobEvent, JobFile
from downloads.registry_admin import DownloaderAdmin as DownloaderAdmin


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
        queued, refused = services.retry_many(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{queued} queued, {refused} not in a state to retry")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        cancelled = 0
        for job in queryset:
            try:
                services.cancel(job.pk)
                cancelled += 1
            except IllegalTransition as error:
                self.message_user(request, f"{job}: {error}", messages.WARNING)
        self.message_user(request, f"{cancelled} cancelled")

    @admin.action(description="Delete, keep files", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._remove(request, queryset, delete_files=False)

    @admin.action(description="Delete with files", permissions=["operate"])
    def remove_with_files(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._remove(request, queryset, delete_files=True)

    def _remove(self, request: HttpRequest, queryset: QuerySet[Job], *, delete_files: bool) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        for job_id in ids:
            services.remove(job_id, delete_files=delete_files)
        self.message_user(request, f"{len(ids)} deleted")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "role", "beat_at")
