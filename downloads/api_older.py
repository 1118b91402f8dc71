"""The job API of the older AniBridge: `/downloader/download` and `/jobs/<id>`, for what was written against it.

Where the older one was open to everybody, this needs the API key or a signed-in user. Its progress is in percent, its
ids are texts, and it knows five statuses: what waits for anything is `queued`. Contract: the older program's source.
"""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.rest import Problem
from catalogue.models import Site
from catalogue.releases import MAX_MAGNET_BYTES, MAX_NUMBER
from catalogue.sites.links import address_of
from downloads import asking, services, shown
from downloads.api import NotHere, as_answer
from downloads.errors import IllegalTransition, UnknownJob

DEFAULT_LANGUAGE = "German Dub"
DEFAULT_SITE = "aniworld"
"""The older one knew no other site here. Where it is not set up, the first enabled one is meant."""
_SPELLINGS = {
    "link": ("link", "url", "magnet"),
    "slug": ("slug",),
    "season": ("season", "s"),
    "episode": ("episode", "e"),
    "language": ("language", "lang"),
    "provider": ("provider",),
    "site": ("site",),
    "title_hint": ("title_hint", "title", "name"),
    "mode": ("mode",),
    "category": ("category",),
}
"""Field → how it may be called."""


class Unprocessable(exceptions.APIException):
    """The older API's code for a body that it cannot use."""

    status_code = 422
    default_code = "unprocessable"

    def __init__(self, detail: str, fields: Any = None) -> None:
        super().__init__(detail)
        self.fields = fields


class OlderRequestSerializer(serializers.Serializer[Any]):
    """A page of a site or any other link as `link`, or `slug`, `season` and `episode`.

    `s`, `e`, `lang`, `url` and `magnet` are understood as well, and what is not known is left alone.
    """

    link = serializers.CharField(required=False, allow_null=True, max_length=MAX_MAGNET_BYTES)
    slug = serializers.CharField(required=False, allow_null=True, max_length=200)
    season = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=MAX_NUMBER
    )
    episode = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=MAX_NUMBER
    )
    provider = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=60
    )
    language = serializers.CharField(
        required=False, allow_null=True, max_length=40, help_text=DEFAULT_LANGUAGE
    )
    site = serializers.CharField(
        required=False, allow_null=True, max_length=40, help_text="A site id or its host."
    )
    title_hint = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=500
    )
    mode = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=20)
    category = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=200
    )


class OlderAnswerSerializer(serializers.Serializer[Any]):
    job_id = serializers.CharField()


class OlderJobSerializer(serializers.Serializer[Any]):
    """A download in the older words."""

    id = serializers.CharField()
    status = serializers.ChoiceField(["queued", "downloading", "completed", "failed", "cancelled"])
    progress = serializers.FloatField(min_value=0, max_value=100, help_text="Percent.")
    downloaded_bytes = serializers.IntegerField()
    total_bytes = serializers.IntegerField(allow_null=True)
    speed = serializers.IntegerField(help_text="Bytes a second.")
    eta = serializers.IntegerField(allow_null=True, help_text="Seconds.")
    message = serializers.CharField()
    result_path = serializers.CharField(allow_null=True)
    source_site = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OlderCancelSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["cancelling", "not-running"])


class OlderView(APIView):
    """Errors of this app in the house's words, and 422 for what cannot be used."""

    def handle_exception(self, exc: Exception) -> Response:
        answer = super().handle_exception(as_answer(exc))
        if isinstance(exc, Unprocessable) and exc.fields:
            answer.data["fields"] = exc.fields
        answer._has_been_logged = isinstance(exc, NotHere)  # type: ignore[attr-defined]
        return answer


_JOB = OpenApiParameter("reference", str, OpenApiParameter.PATH, description="The `job_id`.")
_NOT_FOUND = OpenApiResponse(Problem, description="There is no such job.")


@extend_schema(tags=["older job API"])
class OlderDownloadView(OlderView):
    """`POST /downloader/download`."""

    @extend_schema(
        summary="Ask for a download",
        operation_id="older_download",
        request=OlderRequestSerializer,
        responses={200: OlderAnswerSerializer, 422: OpenApiResponse(Problem)},
        examples=[
            OpenApiExample(
                "an episode",
                request_only=True,
                value={"slug": "sintel", "season": 1, "episode": 1, "language": "German Dub"},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Queue an episode or a link; asking twice gives the same job."""
        given = OlderRequestSerializer(data=_respelt(request.data))
        if not given.is_valid():
            raise Unprocessable("the request holds values that are not possible", given.errors)
        said = {name: value for name, value in given.validated_data.items() if value is not None}
        try:
            taken = asking.take(_wish(said))
        except AniBridgeError as error:
            if error.retryable:
                raise
            raise Unprocessable(str(error)) from error
        return Response({"job_id": str(taken.job.pk)})


@extend_schema(tags=["older job API"])
class OlderJobView(OlderView):
    """`GET` and `DELETE /jobs/<id>`."""

    @extend_schema(
        summary="How it goes",
        operation_id="older_job",
        parameters=[_JOB],
        responses={200: OlderJobSerializer, 404: _NOT_FOUND},
    )
    def get(self, request: Request, reference: str) -> Response:
        """One job, in the older words."""
        return Response(shown.older(services.get(reference)))

    @extend_schema(
        summary="Cancel",
        operation_id="older_cancel",
        parameters=[_JOB],
        responses={200: OlderCancelSerializer},
    )
    def delete(self, request: Request, reference: str) -> Response:
        """Stop it; one that is over, or that there is not, is `not-running`."""
        try:
            job = services.get(reference)
            if job.status not in shown.DONE:
                services.cancel(job.pk)
                return Response({"status": "cancelling"})
        except (UnknownJob, IllegalTransition):
            pass  # over in this very moment
        return Response({"status": "not-running"})


@extend_schema(tags=["older job API"])
class OlderEventsView(OlderView):
    """`GET /jobs/<id>/events`, as far as the schema goes: `downloads.events` serves it."""

    @extend_schema(
        summary="Live progress",
        operation_id="older_events",
        parameters=[_JOB],
        responses={(200, "text/event-stream"): OpenApiTypes.STR, 404: _NOT_FOUND, 503: Problem},
    )
    def get(self, request: Request, reference: str) -> Response:
        """Server-sent events: the job as JSON whenever it has changed, until it is over."""
        raise NotHere


def _respelt(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    found = {}
    for name, spellings in _SPELLINGS.items():
        value = next((data[one] for one in spellings if data.get(one) is not None), None)
        if value is not None:
            found[name] = value
    return found


def _wish(said: dict[str, Any]) -> asking.Wish:
    category, name = said.get("category", ""), said.get("title_hint", "")
    language, provider = said.get("language", DEFAULT_LANGUAGE), said.get("provider", "")
    link = said.get("link", "")
    page = asking.page_of(link) if link else None
    if link and page is None:
        return asking.Wish(link=link, name=name, category=category)
    site, slug, season, episode = page or (
        _site(said.get("site", "")),
        said.get("slug", ""),
        None,
        None,
    )
    season = said.get("season", season)
    episode = said.get("episode", episode)
    if not slug or season is None or episode is None:
        raise Unprocessable("give a link to an episode, or slug, season and episode")
    return asking.Wish(
        episode=asking.Episode(
            site=site,
            slug=slug,
            season=season,
            episode=episode,
            language=language,
            provider=provider,
            mode="strm" if said.get("mode") == "strm" else "download",
        ),
        name=name,
        category=category,
    )


def _site(said: str) -> str:
    """A site id, or the host by which older clients call it; the older one's only site where none is said."""
    text = said.strip().lower().removeprefix("www.")
    if not text:
        enabled = list(
            Site.objects.enabled().order_by("search_priority").values_list("pk", flat=True)
        )
        return DEFAULT_SITE if DEFAULT_SITE in enabled or not enabled else enabled[0]
    for site in Site.objects.all():
        if text in (site.pk, *(_host(url) for url in (site.base_url, *site.mirrors))):
            return site.pk
    return "sto" if text in ("s.to", "serienstream.to") else text.removesuffix(".to")


def _host(url: str) -> str:
    address = address_of(url)
    return address[0] if address else ""
