"""The owner's view of links, feeds and filter rules."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from anibridge.lib.admin import ReadOnlyAdmin
from anibridge.lib.errors import AniBridgeError
from downloads.links import feeds, processing, rules, saving
from downloads.links.preview import Preview
from downloads.links.preview import preview as preview_of
from downloads.models import Feed, FilterRule, Link, LinkMode

PREVIEWED = 500


@admin.register(Link)
class LinkAdmin(ReadOnlyAdmin):
    list_display = (
        "title",
        "state",
        "source",
        "series",
        "download_type",
        "mode",
        "reason",
        "created_at",
    )
    list_filter = ("state", "download_type", "mode", "feed")
    search_fields = ("title",)
    date_hierarchy = "created_at"
    exclude = ("url", "url_sha1", "guid_sha1", "batch")
    readonly_fields = ("url_shown",)
    actions = ("dispatch_now", "write_strm")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the actions."""
        return bool(request.user.has_perm("downloads.change_link"))

    @admin.display(description="what it is")
    def series(self, link: Link) -> str:
        said = link.parsed or {}
        numbers = said.get("episodes") or said.get("absolute") or []
        season = "" if said.get("season") is None else f"S{said['season']:02}"
        span = (
            f"{numbers[0]}"
            if len(numbers) == 1
            else f"{numbers[0]}–{numbers[-1]}"
            if numbers
            else ""
        )
        parts = (said.get("title", ""), season, span, said.get("resolution", ""))
        return " · ".join(part for part in parts if part)

    @admin.action(description="Download now, whatever the rules say", permissions=["operate"])
    def dispatch_now(self, request: HttpRequest, queryset: QuerySet[Link]) -> None:
        self._dispatch(request, queryset, LinkMode.DOWNLOAD.value, "given to the downloaders")

    @admin.action(
        description="Make .strm files that play them, whatever the rules say",
        permissions=["operate"],
    )
    def write_strm(self, request: HttpRequest, queryset: QuerySet[Link]) -> None:
        self._dispatch(request, queryset, LinkMode.STRM.value, "become .strm files")

    def _dispatch(self, request: HttpRequest, links: QuerySet[Link], mode: str, told: str) -> None:
        done = 0
        for link in links:
            try:
                processing.dispatch_now(link.pk, mode)
                done += 1
            except AniBridgeError as error:
                self.message_user(request, f"{link}: {error}", messages.WARNING)
        self.message_user(request, f"{done} {told}")


class FeedForm(forms.ModelForm):
    """The address is shown with its keys masked; left like that it stays as it is."""

    url = forms.CharField(
        label="Address",
        max_length=4000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="http(s) address of the RSS or Atom feed. Keys in it are encrypted, and masked here.",
    )

    class Meta:
        model = Feed
        fields = ("name", "enabled", "interval_seconds", "category", "mode", "fetch_existing")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "url" in self.fields:
            self.fields["url"].initial = self.instance.url_shown

    def clean_url(self) -> str:
        """The rules of the API, but that the address of another feed is a mistake here."""
        url = str(self.cleaned_data["url"]).strip()
        return saving.checked_url(url, self.instance)


@admin.register(Feed)
class FeedAdmin(ModelAdmin):
    form = FeedForm
    list_display = ("name", "url_shown", "enabled", "polled_at", "next_poll_at", "trouble")
    list_filter = ("enabled",)
    search_fields = ("name", "url_shown")
    fields = (
        "name", "url", "enabled", "interval_seconds", "category", "mode", "fetch_existing", "polled_at",
        "next_poll_at", "failures", "last_error", "last_error_at", "last_warning",
    )  # fmt: skip
    readonly_fields = (
        "polled_at", "next_poll_at", "failures", "last_error", "last_error_at", "last_warning",
    )  # fmt: skip
    actions = ("ask_now", "switch_on", "switch_off")

    @admin.display(description="trouble")
    def trouble(self, feed: Feed) -> str:
        return feed.last_error or feed.last_warning

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:
        """Only what the owner changed: a poll may write the same row."""
        given = {name: form.cleaned_data[name] for name in form.changed_data if name != "url"}
        if "url" in form.changed_data:
            given["url_shown"] = form.cleaned_data["url"]
        saved, _ = saving.save_feed(Feed.objects.get(pk=obj.pk) if change else None, given)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Feed) -> None:
        saving.delete_feed(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            saving.delete_feed(feed)

    @admin.action(description="Ask now", permissions=["change"])
    def ask_now(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            try:
                feeds.ask_soon(feed.pk)
                self.message_user(request, f"{feed}: is being asked")
            except AniBridgeError as error:
                self.message_user(request, f"{feed}: {error}", messages.WARNING)

    @admin.action(description="Switch on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            saving.save_feed(feed, {"enabled": True})

    @admin.action(description="Switch off", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        for feed in queryset:
            saving.save_feed(feed, {"enabled": False})


class FilterRuleForm(forms.ModelForm):
    """With `_preview` in the request nothing is saved: the form comes back with what the rule would do."""

    preview: Preview | None = None

    class Meta:
        model = FilterRule
        fields = (
            "name", "kind", "pattern", "case_sensitive", "scope", "source", "feed", "enabled",
        )  # fmt: skip

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        if found := rules.pattern_problem(self.instance):
            self.add_error("pattern", str(found))
        elif full := rules.room_problem(self.instance):
            self.add_error(None, full)
        elif "_preview" in self.data:
            self.preview = preview_of([self.instance], sample=PREVIEWED)
            self.add_error(None, "A preview: nothing has been saved yet.")


@admin.register(FilterRule)
class FilterRuleAdmin(ModelAdmin):
    form = FilterRuleForm
    list_display = ("__str__", "kind", "scope", "about", "enabled", "last_error")
    list_filter = ("kind", "scope", "enabled")
    list_select_related = ("feed",)
    search_fields = ("name", "pattern")
    readonly_fields = ("last_error", "last_error_at")
    change_form_after_template = "downloads/_rule_preview.html"

    @admin.display(description="for")
    def about(self, rule: FilterRule) -> str | SafeString:
        return str(rule.feed or rule.source) or format_html("<i>{}</i>", "all links")

    def save_model(self, request: HttpRequest, obj: FilterRule, form: Any, change: bool) -> None:
        """What the rules held back is judged again."""
        if "pattern" in form.changed_data:
            obj.last_error, obj.last_error_at = "", None
        super().save_model(request, obj, form, change)
        self._told(request, rules.changed())

    def delete_model(self, request: HttpRequest, obj: FilterRule) -> None:
        self._told(request, saving.delete_rule(obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[FilterRule]) -> None:
        for rule in queryset:
            self._told(request, saving.delete_rule(rule))

    def _told(self, request: HttpRequest, count: int) -> None:
        if count:
            self.message_user(request, f"{count} links that were held back are judged again")
