"""`/api/v1/sites` and `/api/v1/search`."""

from copy import copy
from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from anibridge.lib.errors import AniBridgeError
from catalogue import checking, dispatch, search
from catalogue.models import Site
from catalogue.sites import SITES


class BrokerAway(AniBridgeError):
    """No worker could be told."""

    retryable = True


class SiteSerializer(serializers.ModelSerializer[Site]):
    """A site: what its owner sets, and how it is doing."""

    class Meta:
        model = Site
        fields = (
            "site_id", "display_name", "base_url", "mirrors", "search_priority", "default_languages",
            "enabled", "search_timeout_seconds", "index_ttl_hours", "availability_ttl_hours",
            "unavailable_ttl_hours", "index_size", "index_refreshed_at", "index_warning", "failures",
            "back_off_until", "last_error", "last_error_at",
        )  # fmt: skip
        read_only_fields = (
            "site_id", "index_size", "index_refreshed_at", "index_warning", "failures",
            "back_off_until", "last_error", "last_error_at",
        )  # fmt: skip

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The rules of the model itself, so that the admin and this agree."""
        assert self.instance is not None  # sites come from adapters, never from a request
        site = copy(self.instance)  # the row itself stays as it is when this is refused
        for name, value in attrs.items():
            setattr(site, name, value)
        site.full_clean(validate_unique=False)
        return attrs

    def update(self, instance: Site, validated_data: dict[str, Any]) -> Site:
        """Save what was sent, nothing else: a refresh may write the same row."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data) or None)
        checking.switched(instance)
        return instance


class CheckedSerializer(serializers.Serializer[checking.Checked]):
    site_id = serializers.CharField()
    ok = serializers.BooleanField()
    seconds = serializers.FloatField()
    detail = serializers.CharField()


class SiteViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.UpdateModelMixin, GenericViewSet[Site]
):
    """The catalogue sites. They come from adapters, so none can be added or deleted here."""

    queryset = Site.objects.filter(site_id__in=SITES).order_by("search_priority", "site_id")
    serializer_class = SiteSerializer
    lookup_value_regex = r"[^/\x00]{1,100}"  # PostgreSQL takes no NUL
    http_method_names = ("get", "patch", "post", "head", "options")

    @extend_schema(request=None, responses=CheckedSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str | None = None) -> Response:
        """Ask the site for one page now and say how it went."""
        return Response(asdict(checking.check_now(self.get_object())))

    @extend_schema(request=None, responses={202: None})
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str | None = None) -> Response:
        """Have a worker refresh the title index now."""
        site = self.get_object()
        if not dispatch.refresh_soon(site.pk):
            raise BrokerAway("no worker could be told; try again when the broker answers")
        return Response({"status": "queued"}, status=status.HTTP_202_ACCEPTED)


class SearchQuery(serializers.Serializer[Any]):
    q = serializers.CharField(max_length=300, required=False, default="")
    tvdb = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    imdb = serializers.RegexField(r"^(tt)?\d{5,10}$", required=False)
    tmdb = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    absolute = serializers.IntegerField(required=False, min_value=1, max_value=99_999)
    season = serializers.IntegerField(required=False, min_value=0, max_value=100_000)
    episode = serializers.IntegerField(required=False, min_value=0, max_value=100_000)
    film = serializers.BooleanField(required=False, default=False)
    site = serializers.ListField(child=serializers.CharField(max_length=40), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "episode" in attrs and "season" not in attrs:
            raise serializers.ValidationError({"season": "an episode needs its season"})
        if not attrs["q"] and not {"tvdb", "imdb", "tmdb"} & attrs.keys():
            raise serializers.ValidationError({"q": "name a title, or an id of one"})
        return attrs


class SearchView(APIView):
    """The search that Torznab answers from, as JSON and with its reasons."""

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, description="a title, also «Title S01E02»"),
            OpenApiParameter("tvdb", int, description="the show's id, with or without a title"),
            OpenApiParameter("imdb", str),
            OpenApiParameter("tmdb", int),
            OpenApiParameter("absolute", int, description="counted through all seasons"),
            OpenApiParameter("season", int),
            OpenApiParameter("episode", int),
            OpenApiParameter("film", bool, description="films only, named as such"),
            OpenApiParameter("site", str, many=True, description="only these site ids"),
        ],
        responses={200: dict},
    )
    def get(self, request: Request) -> Response:
        """Every available release, and how the answer came about: scores, cache or probe, time per site, troubles."""
        query = SearchQuery(data=_parameters(request))
        query.is_valid(raise_exception=True)
        answered = _answered(query.validated_data)
        results = answered.rows()
        return Response(
            {
                "count": len(results),
                "next": None,
                "previous": None,
                "results": results,
                "explained": answered.explained(),
            }
        )


def _answered(asked: dict[str, Any]) -> search.Answered:
    ids = search.Ids(tvdb=asked.get("tvdb"), imdb=asked.get("imdb", ""), tmdb=asked.get("tmdb"))
    sites = asked.get("site")
    if asked["film"]:
        return search.films(asked["q"], ids=ids, sites=sites)
    title, season, episode = search.split_query(asked["q"])
    if "season" in asked:
        season, episode = asked["season"], asked.get("episode")
    absolute = asked.get("absolute")
    return search.search(
        title, season=season, episode=episode, absolute=absolute, ids=ids, sites=sites
    )


def _parameters(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: request.query_params[name]
        for name in ("q", "season", "episode", "absolute", "tvdb", "imdb", "tmdb", "film")
        if request.query_params.get(name) not in (None, "")
    }
    sites = [
        site for part in request.query_params.getlist("site") for site in part.split(",") if site
    ]
    return given | ({"site": sites} if sites else {})
