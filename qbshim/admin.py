"""The owner's view of what qBittorrent clients said: their torrents and their categories."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from anibridge.lib.admin import ReadOnlyAdmin
from anibridge.lib.errors import AniBridgeError
from qbshim import categories
from qbshim.models import Category, ClientTask


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
            return categories.stored_path(self.cleaned_data["save_path"])
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
