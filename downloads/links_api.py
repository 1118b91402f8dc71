"""`/api/v1/fetcher-results`, `/links`, `/feeds` and `/filters`."""

from copy import copy
from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet, ModelViewSet

from anibridge.lib.paging import Keyset, Ordering
from anibridge.lib.rest import Json, TooLarge
from downloads.links import feeds, intake, preview, processing, saving
from downloads.links.patterns import problems
from downloads.links.rules import MAX_RULES
from downloads.models import Feed, FilterRule, Link, LinkMode, LinkState
from downloads.models.links import source_problem

MAX_DRAFTS = 20
_ID = r"\d{1,18}"


class AnyText(Json):
    """A title that cannot be stored is the business of its item, not of the whole request."""

    refuses_odd_text = False


class ItemSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(help_text="Cut at 500 characters.")
    url = serializers.CharField(help_text="magnet:, http: or https:")
    description = serializers.CharField(required=False, allow_null=True)
    pub_date = serializers.DateTimeField(required=False, allow_null=True)
    mode = serializers.ChoiceField(
        LinkMode.choices,
        required=False,
        help_text="`strm`: a file that plays it; not for torrents.",
    )


class FetcherResultsSerializer(serializers.Serializer[Any]):
    """What a fetcher found. For the schema only: each item is judged by itself."""

    source = serializers.CharField(max_length=100)  # type: ignore[assignment]
    items = ItemSerializer(many=True)
    mode = serializers.ChoiceField(
        LinkMode.choices,
        required=False,
        help_text="Of items that name none; `download` if left out.",
    )


class AnswerSerializer(serializers.Serializer[Any]):
    url = serializers.CharField()
    status = serializers.ChoiceField(choices=["created", "duplicate", "rejected"])
    reason = serializers.CharField(required=False)
    id = serializers.IntegerField(required=False)


class AnswersSerializer(serializers.Serializer[Any]):
    results = AnswerSerializer(many=True)


class FetcherResultsView(APIView):
    """Links that a fetcher pushes."""

    parser_classes = (AnyText,)

    @extend_schema(
        request=FetcherResultsSerializer,
        responses={200: AnswersSerializer, 413: OpenApiResponse(description="too many items")},
    )
    def post(self, request: Request) -> Response:
        """Take links in; every item is answered, in the order of the items. Sending them again changes nothing.

        The older shape (`subscription_id, items[{title, description, download_url, pub_date}], fetcher_source, success,
        error_message`) is taken too: it is the one without `source`.
        """
        source, items, mode = _batch(request.data)
        answers = intake.take(source, items, mode=mode)
        return Response({"results": [_answer(one) for one in answers]})


def _batch(data: Any) -> tuple[str, list[Any], str]:
    """(source, items, mode of those that name none) of either shape."""
    if not isinstance(data, dict):
        raise exceptions.ParseError("the body must be an object with «source» and «items»")
    is_older = "source" not in data and "fetcher_source" in data
    key = "fetcher_source" if is_older else "source"
    source, items = data.get(key), data.get("items")
    problem = source_problem(source.strip()) if isinstance(source, str) else "must be a text"
    if problem:
        raise serializers.ValidationError({key: problem})
    if is_older and items is None and data.get("success") is False:
        items = []  # a report of a failure
    if not isinstance(items, list):
        raise serializers.ValidationError({"items": "must be a list"})
    if len(items) > intake.MAX_ITEMS:
        raise TooLarge(
            f"{len(items)} items are more than the {intake.MAX_ITEMS} that one request may hold: send several"
        )
    if is_older:
        items = [_newer(one) for one in items]
    mode = data.get("mode") or LinkMode.DOWNLOAD.value
    if mode not in LinkMode.values:
        raise serializers.ValidationError({"mode": f"one of {', '.join(LinkMode.values)}"})
    return str(source).strip(), items, str(mode)


def _newer(item: Any) -> Any:
    if isinstance(item, dict) and "url" not in item and "download_url" in item:
        return {**item, "url": item["download_url"]}
    return item


def _answer(answer: intake.Answer) -> dict[str, Any]:
    given = asdict(answer)
    optional = {name: given.pop(name) for name in ("reason", "id")}
    return given | {name: value for name, value in optional.items() if value not in ("", None)}


class LinkSerializer(serializers.ModelSerializer[Link]):
    """A link and what became of it. Keys in its address are masked."""

    url = serializers.CharField(source="url_shown", read_only=True)

    class Meta:
        model = Link
        fields = (
            "id", "source", "feed", "url", "title", "description", "published_at", "download_type", "mode",
            "state", "reason", "rule", "job", "parsed", "created_at", "last_seen_at",
        )  # fmt: skip
        read_only_fields = fields


ORDERINGS = {
    "created_at": Ordering("pk"),
    "-created_at": Ordering("pk", descending=True),
    "published_at": Ordering("published_at"),
    "-published_at": Ordering("published_at", descending=True),
}


class DispatchSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(
        LinkMode.choices, required=False, help_text="Takes the place of the link's own from now on."
    )


class LinkViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Link]):
    """Links that fetchers and feeds gave, the newest first."""

    queryset = Link.objects.all()
    serializer_class = LinkSerializer
    pagination_class = Keyset
    lookup_value_regex = _ID

    def get_queryset(self) -> QuerySet[Link]:
        """All links; for a list those that were asked for."""
        queryset = Link.objects.all()
        asked = self.request.query_params
        if self.action != "list":
            return queryset
        if states := [one for one in asked.get("state", "").split(",") if one]:
            if unknown := set(states) - set(LinkState.values):
                known = ", ".join(LinkState.values)
                raise serializers.ValidationError({"state": f"«{min(unknown)}» is none of {known}"})
            queryset = queryset.filter(state__in=states)
        if source := asked.get("source"):
            queryset = queryset.filter(source=source[:200].replace("\0", ""))
        for name in ("feed", "job"):
            if value := asked.get(name):
                if not value.isascii() or not value.isdecimal() or len(value) > 18:
                    raise serializers.ValidationError({name: "must be the number of one"})
                queryset = queryset.filter(**{f"{name}_id": int(value)})
        if words := asked.get("q", "").replace("\0", "").split()[:10]:
            for word in words:
                queryset = queryset.filter(title__icontains=word[:100])
        return queryset

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "state", str, description="one, or several with commas", enum=LinkState.values
            ),
            OpenApiParameter("source", str, description="a fetcher's name, or feed:<id>"),
            OpenApiParameter("feed", int),
            OpenApiParameter("job", int),
            OpenApiParameter("q", str, description="words that are all in the title"),
            OpenApiParameter("ordering", str, enum=list(ORDERINGS)),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Links by state, source, feed, job or words of the title; paged by cursor, without a count."""
        asked = request.query_params.get("ordering") or "-created_at"
        if asked not in ORDERINGS:
            raise serializers.ValidationError({"ordering": f"one of {', '.join(ORDERINGS)}"})
        pages = Keyset(ORDERINGS[asked])
        found = pages.paginate_queryset(self.get_queryset(), request, self)
        return pages.get_paginated_response(self.get_serializer(found, many=True).data)

    @extend_schema(
        request=DispatchSerializer,
        responses={200: LinkSerializer, 409: OpenApiResponse(description="it cannot be fetched")},
    )
    @action(detail=True, methods=["post"], url_path="dispatch")
    def dispatch_now(self, request: Request, pk: str | None = None) -> Response:
        """Make a download of it, whatever the rules say, or a .strm file. Asking again changes nothing while that is
        there."""
        asked = DispatchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            link = processing.dispatch_now(int(pk or 0), asked.validated_data.get("mode", ""))
        except Link.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(LinkSerializer(link).data)


class FeedSerializer(serializers.ModelSerializer[Feed]):
    """A feed, and how it is doing. Its address is shown with its keys masked; sent back like that it is left alone."""

    url = serializers.CharField(max_length=4000, source="url_shown")

    class Meta:
        model = Feed
        fields = (
            "id", "name", "url", "enabled", "interval_seconds", "category", "mode", "fetch_existing", "polled_at",
            "next_poll_at", "failures", "last_error", "last_error_at", "last_warning", "created_at",
        )  # fmt: skip
        read_only_fields = (
            "id", "polled_at", "next_poll_at", "failures", "last_error", "last_error_at", "last_warning",
            "created_at",
        )  # fmt: skip
        extra_kwargs = {"name": {"required": False}}

    was_created = False

    def validate_url(self, url: str) -> str:
        return saving.checked_url(url.strip(), self.instance)

    def save(self, **kwargs: Any) -> Feed:
        self.instance, self.was_created = saving.save_feed(self.instance, self.validated_data)
        return self.instance


class FeedViewSet(ModelViewSet[Feed]):
    """RSS and Atom feeds that are asked for links."""

    queryset = Feed.objects.order_by("pk")
    serializer_class = FeedSerializer
    lookup_value_regex = _ID
    http_method_names = ("get", "post", "patch", "delete", "head", "options")

    @extend_schema(responses={200: FeedSerializer, 201: FeedSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a feed; 200 and the feed as it is now when there is one with this address already."""
        return _saved(FeedSerializer(data=request.data))

    def perform_destroy(self, instance: Feed) -> None:
        """Its rules and its links go with it; downloads stay."""
        saving.delete_feed(instance)

    @extend_schema(
        request=None, responses={202: None, 409: OpenApiResponse(description="it is switched off")}
    )
    @action(detail=True, methods=["post"])
    def poll(self, request: Request, pk: str | None = None) -> Response:
        """Have it asked now."""
        feeds.ask_soon(self.get_object().pk)
        return Response({"status": "queued"}, status=status.HTTP_202_ACCEPTED)


class FilterSerializer(serializers.ModelSerializer[FilterRule]):
    """A rule that titles must match, or must not."""

    class Meta:
        model = FilterRule
        fields = (
            "id", "name", "kind", "pattern", "case_sensitive", "scope", "source", "feed", "enabled",
            "last_error", "last_error_at", "created_at",
        )  # fmt: skip
        read_only_fields = ("id", "last_error", "last_error_at", "created_at")
        # A rule that is there already is no error of a POST: see `create`.
        validators = ()

    was_created = False

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The rules of the model itself, so that the admin and this agree."""
        rule = copy(self.instance) if self.instance else FilterRule()
        for name, value in attrs.items():
            setattr(rule, name, value)
        saving.check_rule(rule)
        return attrs

    def save(self, **kwargs: Any) -> FilterRule:
        self.instance, self.was_created = saving.save_rule(self.instance, self.validated_data)
        return self.instance


class DraftSerializer(FilterSerializer):
    """A rule as it would be saved; with the `id` of a saved one it takes its place."""

    id = serializers.IntegerField(required=False, min_value=1, max_value=2**62)

    class Meta:
        model = FilterRule
        fields = FilterSerializer.Meta.fields
        read_only_fields = ("last_error", "last_error_at", "created_at")
        validators = ()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Patterns are looked at together, in `PreviewAskedSerializer`."""
        saving.check_scope(FilterRule(**attrs))
        return attrs


class PreviewAskedSerializer(serializers.Serializer[Any]):
    rule = DraftSerializer(required=False)
    rules = DraftSerializer(many=True, required=False)
    without = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**62),
        max_length=MAX_RULES,
        required=False,
        help_text="Ids of saved rules that would be deleted.",
    )
    sample = serializers.IntegerField(
        min_value=1,
        max_value=preview.MAX_SAMPLE,
        default=200,
        help_text="So many of the newest links.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [*([attrs["rule"]] if "rule" in attrs else []), *attrs.get("rules", [])]
        if not given and not attrs.get("without"):
            raise serializers.ValidationError(
                {"rule": "give a rule, rules, or the ids of some to leave out"}
            )
        if len(given) > MAX_DRAFTS:
            raise serializers.ValidationError({"rules": f"at most {MAX_DRAFTS} at a time"})
        found = problems([one["pattern"] for one in given])
        told = [f"rule {n}: {problem}" for n, problem in enumerate(found) if problem]
        if told:
            raise serializers.ValidationError({"pattern": told})
        return attrs | {"drafts": [FilterRule(**one) for one in given]}


class ChangedSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    state = serializers.CharField()
    reason = serializers.CharField()


class TroubleSerializer(serializers.Serializer[Any]):
    pattern = serializers.CharField()
    detail = serializers.CharField()


class PreviewSerializer(serializers.Serializer[Any]):
    sampled = serializers.IntegerField()
    passing_before = serializers.IntegerField()
    passing_after = serializers.IntegerField()
    newly_passing_count = serializers.IntegerField()
    newly_failing_count = serializers.IntegerField()
    newly_passing = ChangedSerializer(many=True, help_text="At most 100 of them.")
    newly_failing = ChangedSerializer(many=True, help_text="At most 100 of them.")
    troubles = TroubleSerializer(many=True)
    is_complete = serializers.BooleanField()


class FilterViewSet(ModelViewSet[FilterRule]):
    """Rules for the titles of links. An exclude rule wins; of a scope's include rules one must match."""

    queryset = FilterRule.objects.order_by("pk")
    serializer_class = FilterSerializer
    lookup_value_regex = _ID
    http_method_names = ("get", "post", "patch", "delete", "head", "options")

    @extend_schema(responses={200: FilterSerializer, 201: FilterSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a rule; 200 and the rule as it is now when there is the very same already."""
        return _saved(FilterSerializer(data=request.data))

    def perform_destroy(self, instance: FilterRule) -> None:
        saving.delete_rule(instance)

    @extend_schema(request=PreviewAskedSerializer, responses=PreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What rules would do to the newest links, without saving them."""
        asked = PreviewAskedSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        shown = preview.preview(
            data["drafts"], without=data.get("without", ()), sample=data["sample"]
        )
        return Response(asdict(shown))


def _saved(given: FeedSerializer | FilterSerializer) -> Response:
    """201 for a new one, 200 for one that was there already, each as it is now. Raises ValidationError."""
    given.is_valid(raise_exception=True)
    given.save()
    code = status.HTTP_201_CREATED if given.was_created else status.HTTP_200_OK
    return Response(given.data, status=code)
