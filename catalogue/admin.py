"""The owner's view of sites, titles and availability."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from anibridge.lib.admin import ReadOnlyAdmin
from anibridge.lib.errors import AniBridgeError
from catalogue import checking, refresh
from catalogue.models import AvailabilityRecord, Site, Title, TitleMapping


@admin.register(Site)
class SiteAdmin(ModelAdmin):
    list_display = (
        "display_name", "site_id", "enabled", "search_priority", "index_size",
        "index_refreshed_at", "last_error",
    )  # fmt: skip
    list_filter = ("enabled",)
    readonly_fields = (
        "site_id", "index_size", "index_refreshed_at", "index_warning", "recent_polled_at",
        "failures", "back_off_until", "last_error", "last_error_at",
    )  # fmt: skip
    actions = ("check_now", "refresh_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sites come from adapters; a row without code could do nothing."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Switch it off instead: jobs and infohashes refer to it."""
        return False

    def save_model(self, request: HttpRequest, obj: Site, form: Any, change: bool) -> None:
        """What depends on the site follows."""
        super().save_model(request, obj, form, change)
        checking.switched(obj)

    @admin.action(description="Check now", permissions=["change"])
    def check_now(self, request: HttpRequest, queryset: QuerySet[Site]) -> None:
        for site in queryset:
            done = checking.check_now(site)
            level = messages.SUCCESS if done.ok else messages.ERROR
            self.message_user(request, f"{site}: {done.detail} ({done.seconds:.1f} s)", level)

    @admin.action(description="Refresh the title index now", permissions=["change"])
    def refresh_now(self, request: HttpRequest, queryset: QuerySet[Site]) -> None:
        for site in queryset:
            try:
                result = refresh.refresh_index(site.site_id)
            except AniBridgeError as error:
                self.message_user(request, f"{site}: {error}", messages.ERROR)
            else:
                text = result.kept or f"{result.titles} titles, {result.names} names"
                level = messages.WARNING if result.kept else messages.SUCCESS
                self.message_user(request, f"{site}: {text}", level)


@admin.register(Title)
class TitleAdmin(ReadOnlyAdmin):
    list_display = ("name", "site", "slug", "year", "seen_at")
    list_filter = ("site",)
    list_select_related = ("site",)
    search_fields = ("name", "slug")


@admin.register(TitleMapping)
class TitleMappingAdmin(ReadOnlyAdmin):
    list_display = ("name", "title_key", "site", "slug")
    list_filter = ("site",)
    list_select_related = ("site",)
    search_fields = ("name", "title_key", "slug")


@admin.register(AvailabilityRecord)
class AvailabilityRecordAdmin(ReadOnlyAdmin):
    list_display = (
        "slug", "site", "season", "episode", "language", "is_available", "height", "vcodec", "host",
        "estimated", "checked_at",
    )  # fmt: skip
    list_filter = ("site", "is_available", "language", "estimated")
    list_select_related = ("site",)
    search_fields = ("slug",)
    date_hierarchy = "first_seen_at"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting one makes the next search look again."""
        return bool(request.user.has_perm("catalogue.delete_availabilityrecord"))
