"""The owner's view of downloaders: who takes what, in which order, and how each is doing."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from anibridge.lib.errors import AniBridgeError
from downloads import registry
from downloads.detection import DownloadType
from downloads.models import Downloader, DownloaderKind


class DownloaderForm(forms.ModelForm):
    """The types as boxes, and a password that can be set but never read."""

    types = forms.MultipleChoiceField(
        choices=[(one.value, one.value) for one in DownloadType],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it is given. Episodes of the catalogue are AniBridge's own business.",
    )
    password = forms.CharField(
        required=False,
        max_length=500,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Password, or the API key of a remote service. Encrypted; empty leaves it as it is.",
    )
    forget_password = forms.BooleanField(required=False, label="Forget the stored password")

    class Meta:
        model = Downloader
        fields = (
            "name", "kind", "base_url", "download_endpoint", "priority", "enabled", "username",
            "remote_path", "local_path",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            types = self.instance.capabilities.values_list("download_type", flat=True)
            self.fields["types"].initial = list(types)
        if "kind" in self.fields:
            outside = [choice for choice in DownloaderKind.choices if choice[0] != "builtin"]
            self.fields["kind"].choices = outside  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """The rules of the registry, so that the admin and the API agree."""
        data = super().clean() or {}
        kind = self.instance.kind if self.instance.pk else data.get("kind")
        types = set(data.get("types") or [])
        if kind == DownloaderKind.BUILTIN:
            if not types <= {"episode", "http"}:
                self.add_error(
                    "types", "the built-in downloader takes episodes and http links only"
                )
            return data
        if DownloadType.EPISODE in types:
            self.add_error("types", "only the built-in downloader takes episodes")
        if kind == DownloaderKind.QBITTORRENT and DownloadType.HTTP in types:
            self.add_error("types", "qBittorrent takes magnets and torrents only")
        for name, check in (
            ("base_url", registry.checked_url),
            ("download_endpoint", registry.checked_endpoint),
        ):
            try:
                data[name] = check(data.get(name) or "")
            except AniBridgeError as error:
                self.add_error(name, str(error))
        return data


@admin.register(Downloader)
class DownloaderAdmin(ModelAdmin):
    form = DownloaderForm
    list_display = (
        "name", "kind", "enabled", "priority", "takes", "health", "running", "last_seen_at", "base_url",
    )  # fmt: skip
    list_filter = ("kind", "enabled")
    search_fields = ("name", "base_url")
    readonly_fields = (
        "failures", "last_error", "last_error_at", "last_seen_at", "back_off_until", "registered_at",
    )  # fmt: skip
    actions = ("test_connection", "enable", "disable")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Downloader]:
        return super().get_queryset(request).prefetch_related("capabilities")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What a downloader is cannot change: its jobs hold ids that only it understands."""
        fields = tuple(self.readonly_fields)
        if obj is None:
            return fields
        fields += ("kind",)
        if obj.is_builtin:
            fields += (
                "name",
                "base_url",
                "download_endpoint",
                "username",
                "remote_path",
                "local_path",
            )
        return fields

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None is deleted in bulk: that would pass by what has to be done first."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not the built-in one, and none that has downloads."""
        may = bool(super().has_delete_permission(request, obj))
        return may and (obj is None or not (obj.is_builtin or registry.busy_with(obj).exists()))

    def delete_model(self, request: HttpRequest, obj: Downloader) -> None:
        registry.forget(obj, force=True)

    def save_model(self, request: HttpRequest, obj: Downloader, form: Any, change: bool) -> None:
        """What depends on the downloader follows."""
        if form.cleaned_data.get("forget_password"):
            obj.secret = ""
        if form.cleaned_data.get("password"):
            obj.secret = form.cleaned_data["password"]
        super().save_model(request, obj, form, change)
        types = form.cleaned_data.get("types") or []
        if not change and not types:
            types = [one.value for one in registry.DEFAULT_TYPES[DownloaderKind(obj.kind)]]
        registry.set_types(obj, [DownloadType(one) for one in types])
        registry.changed(obj)

    @admin.display(description="takes")
    def takes(self, downloader: Downloader) -> str:
        return ", ".join(one.download_type for one in downloader.capabilities.all()) or "nothing"

    @admin.display(description="health")
    def health(self, downloader: Downloader) -> str:
        if downloader.is_builtin:
            return "part of AniBridge"
        if downloader.setbacks or downloader.failures:
            return f"does not answer: {downloader.last_error}"[:200]
        return "answers" if downloader.last_seen_at else "not asked yet"

    @admin.display(description="running")
    def running(self, downloader: Downloader) -> int:
        return registry.busy_with(downloader).count()

    @admin.action(description="Test the connection", permissions=["change"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Downloader]) -> None:
        for downloader in queryset:
            ok, text = registry.test(downloader)
            level = messages.SUCCESS if ok else messages.ERROR
            self.message_user(request, f"{downloader}: {text}", level)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Downloader]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description="Disable: nothing new for it", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Downloader]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[Downloader], *, enabled: bool
    ) -> None:
        for downloader in queryset:
            downloader.enabled = enabled
            downloader.save(update_fields=["enabled", "updated_at"])
            registry.changed(downloader)
        word = "enabled" if enabled else "disabled"
        self.message_user(request, f"{len(queryset)} {word}")
