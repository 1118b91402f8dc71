"""`/api/v1/downloads`: what is being fetched, asking for more, and commands to one or many."""

import re
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_view,
)
from rest_framework import exceptions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.masking import masked, masked_text
from anibridge.lib.paging import Ordering, PagesOrKeyset
from anibridge.lib.rest import Problem, TooLarge
from catalogue.errors import InvalidMagnet, UnknownSite, UnsafeSlug
from downloads import asking, control, queue, selecting, services, shown
from downloads import stats as statistics
from downloads.api_serializers import (
    EXAMPLE,
    MAX_ITEMS,
    BulkSerializer,
    ChangeSerializer,
    DownloadSerializer,
    EventSerializer,
    FileSerializer,
    ItemAnswersSerializer,
    NewDownloadSerializer,
    NewDownloadsSerializer,
    OutcomesSerializer,
    SelectionSerializer,
    SettingsSerializer,
    StatsSerializer,
    selection_of,
)
from downloads.control import Action
from downloads.errors import (
    BadNaming,
    BadWish,
    OutsideRoot,
    UnknownJob,
    UnsupportedLink,
)
from downloads.models import Job, JobStatus

_LISTS = ("status", "source_site", "download_type", "hash", "id")
_SINGLE = ("category", "downloader", "name", "created_since", "created_until")
_REFUSALS = (
    UnsupportedLink,
    OutsideRoot,
    BadNaming,
    BadWish,
    UnknownSite,
    UnsafeSlug,
    InvalidMagnet,
)
_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no")


class Refused(exceptions.APIException):
    """What was asked for can never be done, with the reason of the error that said so."""

    status_code = 400

    def __init__(self, error: AniBridgeError) -> None:
        super().__init__(str(error))
        name = type(error).__name__
        self.default_code = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class NotHere(exceptions.APIException):
    """A stream was asked of the side that serves none."""

    status_code = 503
    default_code = "no_streams"
    default_detail = "live progress is served by the ASGI server only"


def as_answer(error: Exception) -> Exception:
    """What an error of this app is on the wire; others as they are."""
    if isinstance(error, UnknownJob | Job.DoesNotExist):
        return exceptions.NotFound("there is no such download")
    return Refused(error) if isinstance(error, _REFUSALS) else error


_REFERENCE = OpenApiParameter(
    "reference", str, OpenApiParameter.PATH, description="Its id, or its hash in any case."
)
_NOT_FOUND = OpenApiResponse(Problem, description="There is no such download.")
_CONFLICT = OpenApiResponse(Problem, description="Its status does not allow that.")
_INVALID = OpenApiResponse(Problem, description="The request is not possible as it stands.")
_ONE = OpenApiResponse(
    DownloadSerializer, examples=[OpenApiExample("a running one", value=EXAMPLE)]
)
_COMMAND: dict[str, Any] = {
    "request": None,
    "parameters": [_REFERENCE],
    "responses": {200: _ONE, 404: _NOT_FOUND, 409: _CONFLICT},
}
_FILTERS = [
    OpenApiParameter(
        "status", str, many=True, enum=JobStatus.values, description="One or more, also by commas."
    ),
    OpenApiParameter("category", str, description="Empty: those without one."),
    OpenApiParameter("source_site", str, many=True),
    OpenApiParameter("download_type", str, many=True, enum=["episode", "magnet", "torrent", "http"]),
    OpenApiParameter("downloader", str, description="Who has it; empty: nobody yet."),
    OpenApiParameter("name", str, description="Words that the name holds, in any order and case."),
    OpenApiParameter("created_since", OpenApiTypes.DATETIME, description="A moment or a day."),
    OpenApiParameter("created_until", OpenApiTypes.DATETIME, description="Before that moment or day."),
    OpenApiParameter("hash", str, many=True, description="Infohashes."),
    OpenApiParameter("id", int, many=True),
    OpenApiParameter(
        "ordering", str, enum=[f"{sign}{name}" for name in selecting.SORTABLE for sign in ("", "-")],
        description="`-` for descending; without it the newest come first.",
    ),
    OpenApiParameter("page", int, description="From 1."),
    OpenApiParameter("page_size", int, description="50 unless told, at most 500."),
    OpenApiParameter(
        "cursor", str,
        description="In place of `page`: empty for the first page, then follow `next`. Pages do not shift while the "
        "list changes, and there is no `count`.",
    ),
]  # fmt: skip


@extend_schema_view(
    pause=extend_schema(summary="Stop for now", **_COMMAND),
    resume=extend_schema(summary="Let a paused one go on", **_COMMAND),
    cancel=extend_schema(summary="Stop for good", **_COMMAND),
    retry=extend_schema(summary="Queue it again", **_COMMAND),
)
@extend_schema(tags=["downloads"])
class DownloadViewSet(GenericViewSet[Job]):
    """Everything that is fetched, was fetched, or is to be."""

    queryset = Job.objects.present().select_related("downloader")
    serializer_class = DownloadSerializer
    pagination_class = PagesOrKeyset
    lookup_field = "reference"
    lookup_value_regex = r"[^/]{1,100}"

    def handle_exception(self, exc: Exception) -> Response:
        answer = super().handle_exception(as_answer(exc))
        # Django logs every 5xx as an error of ours; this one is an answer.
        answer._has_been_logged = isinstance(exc, NotHere)  # type: ignore[attr-defined]
        return answer

    @extend_schema(
        summary="List",
        parameters=_FILTERS,
        responses={200: DownloadSerializer(many=True), 400: _INVALID},
    )
    def list(self, request: Request) -> Response:
        """The downloads that all given filters fit. A list of any length costs the same few queries."""
        rows = selection_in(request.query_params).apply()
        pages = PagesOrKeyset(_ordering(request))
        page = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response([shown.download(job) for job in page])

    @extend_schema(
        summary="Ask for one or many",
        request=PolymorphicProxySerializer(
            "NewDownloadOrSeveral",
            [NewDownloadSerializer, NewDownloadsSerializer],
            resource_type_field_name=None,
        ),
        responses={
            201: OpenApiResponse(DownloadSerializer, description="It is new."),
            200: OpenApiResponse(
                PolymorphicProxySerializer(
                    "DownloadOrAnswers",
                    [DownloadSerializer, ItemAnswersSerializer],
                    resource_type_field_name=None,
                ),
                description="The same was there already; or, for `items`, an answer for each.",
            ),
            400: _INVALID,
            413: OpenApiResponse(Problem, description="Too many items, or too large."),
        },
        examples=[
            OpenApiExample(
                "a link", request_only=True,
                value={"url": "https://example.org/film.mkv", "category": "films", "rate_limit": 5000000},
            ),
            OpenApiExample(
                "an episode", request_only=True,
                value={"site": "demo", "slug": "sintel", "season": 1, "episode": 1, "language": "German Dub"},
            ),
            OpenApiExample(
                "several", request_only=True,
                value={"items": [{"magnet": "magnet:?xt=urn:btih:…"}, {"url": "https://example.org/a.torrent"}]},
            ),
        ],
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Queue a link or an episode of the catalogue; asking twice gives the same download.

        One that failed, was cancelled or lost its file starts over. With `items` every one is answered by itself.
        """
        data = request.data
        if isinstance(data, dict) and "items" in data:
            return Response({"results": _take_all(data)})
        given = NewDownloadSerializer(data=data)
        given.is_valid(raise_exception=True)
        taken = asking.take(given.wish())
        code = status.HTTP_201_CREATED if taken.created else status.HTTP_200_OK
        return Response(shown.download(taken.job), status=code)

    @extend_schema(summary="One", parameters=[_REFERENCE], responses={200: _ONE, 404: _NOT_FOUND})
    def retrieve(self, request: Request, reference: str) -> Response:
        """One download."""
        return self._answer(_job(reference).pk)

    @extend_schema(
        summary="Change",
        parameters=[_REFERENCE],
        request=ChangeSerializer,
        responses={200: _ONE, 400: _INVALID, 404: _NOT_FOUND, 409: _CONFLICT},
    )
    def partial_update(self, request: Request, reference: str) -> Response:
        """Its place in the queue, its category or its rate limit. What follows its category is brought to its folder."""
        job = _job(reference)
        given = ChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        if "priority" in said:
            control.act(job.pk, Action(said["priority"]))
        if "forced" in said:
            control.act(job.pk, Action.FORCE if said["forced"] else Action.UNFORCE)
        control.change(
            job.pk,
            category=said.get("category"),
            rate_limit=said.get("rate_limit"),
            sets_rate_limit="rate_limit" in said,
        )
        return self._answer(job.pk)

    @extend_schema(
        summary="Delete",
        parameters=[
            _REFERENCE,
            OpenApiParameter("delete_files", bool, description="Also what was fetched completely."),
        ],
        responses={204: None, 400: _INVALID, 404: _NOT_FOUND},
    )
    def destroy(self, request: Request, reference: str) -> Response:
        """Take it off the list, running or not. Unfinished files always go, finished ones with `delete_files`."""
        delete_files = _flag(request, "delete_files")
        services.remove(_job(reference).pk, delete_files=delete_files)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post", "put"])
    def pause(self, request: Request, reference: str) -> Response:
        """What it has fetched stays for when it is resumed. One that is paused already is left alone."""
        return self._told(reference, Action.PAUSE)

    @action(detail=True, methods=["post", "put"])
    def resume(self, request: Request, reference: str) -> Response:
        """One that is under way already is left alone; one that is over is a 409, `retry` is for those."""
        return self._told(reference, Action.RESUME)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, reference: str) -> Response:
        """It stays on the list as cancelled; its unfinished files go."""
        return self._told(reference, Action.CANCEL)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, reference: str) -> Response:
        """One that failed, was cancelled, waits for a downloader, or whose file is gone."""
        return self._told(reference, Action.RETRY)

    @extend_schema(
        summary="Its files",
        parameters=[_REFERENCE],
        responses={200: FileSerializer(many=True), 404: _NOT_FOUND},
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def files(self, request: Request, reference: str) -> Response:
        """The files that are in place: one, or of a season one for each episode."""
        here = _job(reference).files.exclude(path="")
        return Response(FileSerializer(here[:2000], many=True).data)

    @extend_schema(
        summary="Its history",
        parameters=[_REFERENCE],
        responses={200: EventSerializer(many=True), 404: _NOT_FOUND},
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def history(self, request: Request, reference: str) -> Response:
        """Each change of its status with the reason, the latest 1,000 in order."""
        latest: QuerySet[Any] = _job(reference).events.order_by("-pk")[:1000]
        return Response(EventSerializer(list(latest)[::-1], many=True).data)

    @extend_schema(
        summary="How it is treated",
        parameters=[_REFERENCE],
        responses={200: SettingsSerializer, 404: _NOT_FOUND},
    )
    @action(detail=True, methods=["get"], url_path="settings", url_name="settings")
    def treatment(self, request: Request, reference: str) -> Response:
        """Its place in the queue, limits and names; PATCH of the download changes most of it."""
        job = _job(reference)
        waits = job.status in queue.WAITING
        before = queue.waiting().filter(queue_place__lt=job.queue_place)
        return Response(
            {
                "queue_position": before.count() + 1 if waits else None,
                "forced": job.forced,
                "rate_limit": job.rate_limit,
                "rate_limit_note": job.limit_note,
                "checksum": job.checksum,
                "layout": job.layout,
                "naming": job.naming,
                "not_before": shown.when(job.not_before),
                "refusals": {
                    str(name): masked_text(str(text)) for name, text in job.refusals.items()
                },
            }
        )

    @extend_schema(summary="Statistics", responses={200: StatsSerializer})
    @action(detail=False, methods=["get"], pagination_class=None)
    def stats(self, request: Request) -> Response:
        """Counts by status and source, speed, and bytes."""
        return Response(statistics.stats())

    @extend_schema(
        summary="One command for many",
        request=BulkSerializer,
        responses={200: OutcomesSerializer, 400: _INVALID},
        examples=[
            OpenApiExample(
                "by filter", request_only=True,
                value={"action": "retry", "filter": {"status": ["failed"], "category": "tv"}},
            ),
            OpenApiExample(
                "by name", request_only=True,
                value={"action": "delete", "ids": [7, 8], "delete_files": True},
            ),
        ],
    )  # fmt: skip
    @action(detail=False, methods=["post"], pagination_class=None)
    def bulk(self, request: Request) -> Response:
        """Tell up to 1,000 downloads the same; each that was meant is answered."""
        given = BulkSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        command, delete_files = Action(said["action"]), said.get("delete_files", False)
        if said.get("ids") or said.get("hashes"):
            outcomes = control.act_on_named(
                said.get("ids", ()), said.get("hashes", ()), command, delete_files=delete_files
            )
        else:
            selection = selection_of(said.get("filter", {}))
            outcomes = control.act_on(selection, command, delete_files=delete_files)
        return Response(_told_all(outcomes))

    @extend_schema(
        summary="Live progress of all",
        responses={(200, "text/event-stream"): OpenApiTypes.STR, 503: Problem},
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def events(self, request: Request) -> Response:
        """Server-sent events: `data:` is a download that has changed, at most once a second each.

        `event: removed` names one that was deleted (`{"id", "hash"}`), `event: reset` says that too much has changed
        and the list is to be read again. Comments keep the line open. `Last-Event-ID` goes on where one left.
        """
        raise NotHere

    @extend_schema(
        summary="Live progress of one",
        operation_id="downloads_events_of_one",
        parameters=[_REFERENCE],
        responses={(200, "text/event-stream"): OpenApiTypes.STR, 404: _NOT_FOUND, 503: Problem},
    )
    @action(detail=True, methods=["get"], url_path="events", url_name="events-of-one")
    def events_of_one(self, request: Request, reference: str) -> Response:
        """Server-sent events: the download whenever it has changed, until it is over."""
        raise NotHere

    def _told(self, reference: str, command: Action) -> Response:
        job_id = _job(reference).pk
        control.act(job_id, command)
        return self._answer(job_id)

    def _answer(self, job_id: int) -> Response:
        job = self.get_queryset().filter(pk=job_id).first()
        if job is None:
            raise UnknownJob("there is no such download")
        return Response(shown.download(job))


def selection_in(query: QueryDict) -> selecting.Selection:
    """What the query of a list asks for. Raises ValidationError; other parameters are somebody else's."""
    said: dict[str, Any] = {name: query[name] for name in _SINGLE if name in query}
    for name in _LISTS:
        parts = [part.strip() for text in query.getlist(name) for part in text.split(",")]
        if any(parts):
            said[name] = [part for part in parts if part]
    for name in ("name", "created_since", "created_until"):
        if not said.get(name, "x").strip():
            said.pop(name)
    given = SelectionSerializer(data=said)
    given.is_valid(raise_exception=True)
    return given.selection()


def _ordering(request: Request) -> Ordering:
    text = request.query_params.get("ordering", "")
    found = selecting.ordering(text) if text else selecting.NEWEST
    if found is None:
        known = ", ".join(selecting.SORTABLE)
        raise serializers.ValidationError(
            {"ordering": [f"must be one of {known}, with or without «-»"]}
        )
    return found


def _job(reference: str) -> Job:
    if not re.fullmatch(r"[0-9]{1,18}|[0-9A-Fa-f]{40}", reference):
        raise UnknownJob("there is no such download")
    return services.get(reference)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "").lower()
    if text not in _TRUE + _FALSE:
        raise serializers.ValidationError({name: ["must be true or false"]})
    return text in _TRUE


def _take_all(data: dict[str, Any]) -> list[dict[str, Any]]:
    items = data["items"]
    if data.keys() != {"items"} or not isinstance(items, list) or not items:
        raise serializers.ValidationError({"items": ["must be a list, and nothing beside it"]})
    if len(items) > MAX_ITEMS:
        raise TooLarge(f"{len(items)} items are more than the {MAX_ITEMS} of one request")
    return [{"index": index, **_take_one(item)} for index, item in enumerate(items)]


def _take_one(item: Any) -> dict[str, Any]:
    link = (item.get("url") or item.get("magnet") or "") if isinstance(item, dict) else ""
    answer: dict[str, Any] = {"url": masked(str(link)[:2000])}
    given = NewDownloadSerializer(data=item)
    if not given.is_valid():
        return answer | {"status": "rejected", "reason": _in_words(given.errors)}
    try:
        taken = asking.take(given.wish())
    except AniBridgeError as error:
        return answer | {"status": "rejected", "reason": str(error)}
    answer |= {"id": taken.job.pk, "hash": taken.job.infohash}
    if taken.created:
        return answer | {"status": "created"}
    reason = "it was over and starts again" if taken.again else f"it is {taken.job.status}"
    return answer | {"status": "duplicate", "reason": reason}


def _in_words(errors: Any) -> str:
    parts = errors.items() if isinstance(errors, dict) else [("", errors)]
    said = []
    for name, problem in parts:
        text = "; ".join(str(one) for one in problem) if isinstance(problem, list) else str(problem)
        said.append(text if name in ("", "non_field_errors") else f"{name}: {text}")
    return "; ".join(said)[:1000]


def _told_all(outcomes: list[control.Outcome]) -> dict[str, Any]:
    results = []
    for one in outcomes:
        state = "unknown" if one.is_unknown else "refused" if one.reason else "done"
        row = {"id": one.job_id, "hash": one.infohash, "status": state, "reason": one.reason}
        results.append({name: value for name, value in row.items() if value not in (None, "")})
    counts = {
        state: sum(row["status"] == state for row in results)
        for state in ("done", "refused", "unknown")
    }
    return {**counts, "results": results}
