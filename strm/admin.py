"""Playbacks and stream addresses to look at; without the addresses themselves, which may hold keys of their hosts."""

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from anibridge.lib.admin import ReadOnlyAdmin
from strm import nudges
from strm.models import LibraryFile, LibraryTitle, LinkAddress, StreamSession, StrmUrlMapping


@admin.register(StreamSession)
class StreamSessionAdmin(ReadOnlyAdmin):
    list_display = ("slug", "season", "episode", "language", "host", "kind", "bytes_sent", "errors", "seen_at")  # fmt: skip
    list_filter = ("kind", "site")
    search_fields = ("slug", "host", "address")
    ordering = ("-seen_at",)
    exclude = ("key", "mapping", "client")


@admin.register(StrmUrlMapping)
class StrmUrlMappingAdmin(ReadOnlyAdmin):
    list_display = ("slug", "season", "episode", "language", "provider_used", "host", "kind", "version", "expires_at")  # fmt: skip
    list_filter = ("kind", "site", "provider_used")
    search_fields = ("slug", "host")
    ordering = ("-updated_at",)
    exclude = ("resolved_url", "headers", "lease_owner", "lease_until")


@admin.register(LinkAddress)
class LinkAddressAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "slug", "created_at")
    search_fields = ("title", "slug")
    ordering = ("-created_at",)
    exclude = ("address",)


@admin.register(LibraryTitle)
class LibraryTitleAdmin(ModelAdmin):
    list_display = ("__str__", "slug", "enabled", "synced_at", "trouble")
    list_filter = ("site", "enabled")
    search_fields = ("slug", "name")
    fields = ("site", "slug", "languages", "enabled", "name", "synced_at", "trouble")
    readonly_fields = ("name", "synced_at", "trouble")
    actions = ("sync_now",)

    @admin.action(description="Bring the library in step now", permissions=["change"])
    def sync_now(self, request: HttpRequest, queryset: object) -> None:
        if nudges.library():
            self.message_user(request, "the whole library is being brought in step")
        else:
            self.message_user(request, "no worker could be told", messages.WARNING)


@admin.register(LibraryFile)
class LibraryFileAdmin(ReadOnlyAdmin):
    list_display = ("path", "kind", "title", "written_at")
    list_filter = ("kind",)
    list_select_related = ("title",)
    search_fields = ("path",)
