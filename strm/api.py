"""`/api/v1/strm/playbacks` and `/api/v1/strm/library`."""

from copy import copy
from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ModelViewSet

from anibridge.lib.errors import AniBridgeError
from strm import nowplaying, nudges
from strm.models import LibraryTitle, StreamSession

_ID = r"\d{1,18}"


class BrokerAway(AniBridgeError):
    """No worker could be told."""

    retryable = True


class PlaybackSerializer(serializers.ModelSerializer[StreamSession]):
    """A playback. `agent` and `address` are what the player said and where it came from."""

    class Meta:
        model = StreamSession
        fields = (
            "site", "slug", "season", "episode", "language", "kind", "host", "address", "agent", "started_at",
            "seen_at", "bytes_sent", "requests", "errors", "last_error",
        )  # fmt: skip
        read_only_fields = fields


class PlayingSerializer(serializers.Serializer[Any]):
    """A playback under way, with its title's name and its speed in bytes a second."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """The playback's own fields and two more."""
        plain = PlaybackSerializer(instance.session).data
        return {"title": instance.title, "speed": instance.speed, **plain}


class PlaybackViewSet(mixins.ListModelMixin, GenericViewSet[StreamSession]):
    """What is being played, and what was."""

    queryset = StreamSession.objects.order_by("-seen_at", "key")
    serializer_class = PlaybackSerializer
    lookup_value_regex = _ID

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "all", bool, description="also those that are over, without title and speed"
            )
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Playbacks under way, the newest first; with `all=true` the last ones too."""
        if request.query_params.get("all", "").lower() in ("true", "1"):
            return super().list(request, *args, **kwargs)
        found = PlayingSerializer(nowplaying.playing(), many=True).data
        return Response({"count": len(found), "next": None, "previous": None, "results": found})


class LibraryTitleSerializer(serializers.ModelSerializer[LibraryTitle]):
    """A title of the library. `trouble` says what went wrong when its files were brought in step last."""

    languages = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=20, required=False
    )

    class Meta:
        model = LibraryTitle
        fields = ("id", "site", "slug", "languages", "enabled", "name", "trouble", "synced_at", "created_at")  # fmt: skip
        read_only_fields = ("id", "name", "trouble", "synced_at", "created_at")
        # One that is there already is no error of a POST: see `create`.
        validators = ()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The rules of the model itself, so that the admin and this agree."""
        title = copy(self.instance) if isinstance(self.instance, LibraryTitle) else LibraryTitle()
        for name, value in attrs.items():
            setattr(title, name, value)
        title.full_clean(validate_unique=False, validate_constraints=False)
        return attrs

    def update(self, instance: LibraryTitle, validated_data: dict[str, Any]) -> LibraryTitle:
        """Save what was sent, nothing else: a run may write the same row."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        try:
            with transaction.atomic():
                instance.save(update_fields=list(validated_data))
        except IntegrityError:
            raise serializers.ValidationError({"slug": "this title is chosen already"}) from None
        return instance


class LibraryViewSet(ModelViewSet[LibraryTitle]):
    """The titles whose .strm files are kept in STRM_LIBRARY_DIR."""

    queryset = LibraryTitle.objects.order_by("pk")
    serializer_class = LibraryTitleSerializer
    lookup_value_regex = _ID
    http_method_names = ("get", "post", "patch", "delete", "head", "options")

    @extend_schema(responses={200: LibraryTitleSerializer, 201: LibraryTitleSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Choose a title; 200 and the title as it is now when it is chosen already."""
        given = LibraryTitleSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        fields = dict(given.validated_data)
        key = {name: fields.pop(name) for name in ("site", "slug")}
        title, created = LibraryTitle.objects.get_or_create(**key, defaults=fields)
        if not created and fields:
            title = given.update(title, fields)
        code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(LibraryTitleSerializer(title).data, status=code)

    @extend_schema(
        request=None, responses={202: None, 503: OpenApiResponse(description="no worker was told")}
    )
    @action(detail=False, methods=["post"])
    def sync(self, request: Request) -> Response:
        """Have the library brought in step now."""
        if not nudges.library():
            raise BrokerAway("no worker could be told; try again when the broker answers")
        return Response({"status": "queued"}, status=status.HTTP_202_ACCEPTED)
