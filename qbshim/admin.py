"""The owner's view of what qBittorrent clients said: torrents, categories, tags, preferences, and who is signed in."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from anibridge.lib.admin import ReadOnlyAdmin
from anibridge.lib.errors import AniBridgeError
from qbshim import categories, paths, preferences
from qbshim import tags as tag_cases
from qbshim.models import Category, ClientSession, ClientTask, FailedLogin, Preference, Tag
from qbshim.preference_keys import DEFAULTS


@admin.register(ClientTask)
class ClientTaskAdmin(ReadOnlyAdmin):
    list_display = ("name", "status", "category", "tag_list", "added_on")
    list_select_related = ("job",)
    search_fields = ("name", "hash")
    date_hierarchy = "added_on"

    @admin.display(description="status", ordering="job__status")
    def status(self, task: ClientTask) -> str:
        return "deleted" if task.job.removed_at else task.job.get_status_display()

    @admin.display(description="category", ordering="job__category")
    def category(self, task: ClientTask) -> str:
        return task.job.category

    @admin.display(description="tags")
    def tag_list(self, task: ClientTask) -> str:
        return ", ".join(task.tags)


class CategoryForm(forms.ModelForm):
    """The rules that clients meet hold here too."""

    class Meta:
        model = Category
        fields = ("name", "save_path")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            categories.checked_name(name)
        except AniBridgeError as error:
            raise forms.ValidationError(str(error)) from None
        return name

    def clean_save_path(self) -> str:
        try:
            return paths.stored(self.cleaned_data["save_path"])
        except AniBridgeError as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Category)
class CategoryAdmin(ModelAdmin):
    form = CategoryForm
    list_display = ("name", "save_path")
    search_fields = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The name is the key: another one would be another category."""
        return () if obj is None else ("name",)

    def delete_model(self, request: HttpRequest, obj: Category) -> None:
        categories.remove([obj.name])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Category]) -> None:
        categories.remove(list(queryset.values_list("name", flat=True)))


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    list_display = ("name",)
    search_fields = ("name",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The name is all there is: another one would be another tag."""
        return False

    def delete_model(self, request: HttpRequest, obj: Tag) -> None:
        tag_cases.delete([obj.name])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Tag]) -> None:
        tag_cases.delete(list(queryset.values_list("name", flat=True)))


class DeletableAdmin(ReadOnlyAdmin):
    """Rows to look at, and to take away."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and request.user.is_staff


@admin.register(Preference)
class PreferenceAdmin(DeletableAdmin):
    """What clients have set; deleting one gives its default back."""

    list_display = ("key", "shown", "updated_at")
    fields = ("key", "shown", "updated_at")
    search_fields = ("key",)

    @admin.display(description="value")
    def shown(self, preference: Preference) -> str:
        return str(preference.value)[:200] if preference.key in DEFAULTS else "kept"

    def delete_model(self, request: HttpRequest, obj: Preference) -> None:
        obj.delete()
        preferences.believed.forget()


@admin.register(ClientSession)
class ClientSessionAdmin(DeletableAdmin):
    """Deleting one signs the client out."""

    list_display = ("__str__", "agent", "created_at", "expires_at")
    list_select_related = ("user",)
    fields = ("user", "address", "agent", "created_at", "expires_at")


@admin.register(FailedLogin)
class FailedLoginAdmin(DeletableAdmin):
    """Deleting one ends a ban."""

    list_display = ("address", "failures", "last_at", "banned_until")
    search_fields = ("address",)
