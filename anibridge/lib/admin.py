"""What the admins of all apps share."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows that AniBridge writes by itself: there to look at."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from what AniBridge does."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A status or a fact that was typed would not be true."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Where something may go, it goes through an action that does the rest as well."""
        return False
