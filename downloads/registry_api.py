"""`/api/v1/services`: downloaders announce themselves, and the owner says what each may do."""

from typing import Any
from urllib.parse import urlsplit

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from downloads import registry
from downloads.detection import DownloadType
from downloads.models import Downloader
from downloads.models.downloaders import DEFAULT_PRIORITY

MAX_TYPES = 50


class ServiceSerializer(serializers.ModelSerializer[Downloader]):
    """A downloader and how it is doing. Passwords and keys can be given, never read."""

    service_type = serializers.SerializerMethodField()
    capabilities = serializers.SerializerMethodField()
    has_credentials = serializers.SerializerMethodField()

    class Meta:
        model = Downloader
        fields = (
            "id", "name", "service_type", "kind", "base_url", "priority", "enabled", "capabilities",
            "remote_path", "local_path", "has_credentials", "failures", "last_error", "last_error_at",
            "last_seen_at", "back_off_until", "registered_at", "created_at",
        )  # fmt: skip
        read_only_fields = (
            "id", "name", "kind", "base_url", "failures", "last_error", "last_error_at", "last_seen_at",
            "back_off_until", "registered_at", "created_at",
        )  # fmt: skip

    def get_service_type(self, downloader: Downloader) -> str:
        return "downloader"

    def get_capabilities(self, downloader: Downloader) -> dict[str, Any]:
        return {
            "download_endpoint": downloader.download_endpoint,
            "supported_download_types": [
                one.download_type for one in downloader.capabilities.all()
            ],
        }

    def get_has_credentials(self, downloader: Downloader) -> bool:
        return bool(downloader.credentials)

    def update(self, instance: Downloader, validated_data: dict[str, Any]) -> Downloader:
        """Save what was sent, nothing else: its health is written at the same time."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        if validated_data:
            instance.save(update_fields=[*validated_data, "updated_at"])
            registry.changed(instance)
            instance.refresh_from_db()
        return instance


class CapabilitiesSerializer(serializers.Serializer[Any]):
    download_endpoint = serializers.CharField(max_length=200, required=False, allow_null=True)
    supported_download_types = serializers.ListField(
        child=serializers.CharField(max_length=40), max_length=MAX_TYPES, required=False
    )


class RegistrationSerializer(serializers.Serializer[Any]):
    """Either `name` and `base_url`, or `service_name`, `host` and `port`; what else older services send is ignored."""

    service_type = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100, required=False)
    base_url = serializers.CharField(max_length=500, required=False)
    service_name = serializers.CharField(max_length=100, required=False)
    host = serializers.CharField(max_length=253, required=False)
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False)
    priority = serializers.IntegerField(
        min_value=-1000, max_value=1000, required=False, allow_null=True
    )
    api_key = serializers.CharField(
        max_length=200, required=False, allow_blank=True, write_only=True,
        help_text="What AniBridge has to send as X-Api-Key to the service.",
    )  # fmt: skip
    capabilities = CapabilitiesSerializer()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["service_type"].lower() != "downloader":
            raise serializers.ValidationError(
                {"service_type": "only a «downloader» can register here"}
            )
        name = attrs.get("name") or attrs.get("service_name")
        if not name or not name.isprintable():
            raise serializers.ValidationError({"name": "give the service a printable name"})
        base_url = attrs.get("base_url") or _address(attrs)
        if not base_url:
            raise serializers.ValidationError({"base_url": "give a base_url, or host and port"})
        return {**attrs, "name": name.strip(), "base_url": base_url}

    def registration(self) -> tuple[registry.Registration, list[str]]:
        """What was said, and the types that no downloader can have here."""
        data = self.validated_data
        capabilities = data["capabilities"]
        offered = {one.value: one for one in registry.OFFERED}
        said = [one.strip().lower() for one in capabilities.get("supported_download_types") or []]
        types: dict[DownloadType, None] = {offered[one]: None for one in said if one in offered}
        priority = data.get("priority")
        return registry.Registration(
            name=data["name"],
            base_url=data["base_url"],
            types=tuple(types),
            endpoint=capabilities.get("download_endpoint") or "/downloads",
            priority=DEFAULT_PRIORITY if priority is None else priority,
            api_key=data.get("api_key"),
        ), sorted({one for one in said if one not in offered})


def _address(attrs: dict[str, Any]) -> str:
    host, port = attrs.get("host", ""), attrs.get("port")
    if not host or port is None:
        return ""
    if ":" in host and not host.startswith("["):  # a bare IPv6 address
        host = f"[{host}]"
    url = f"http://{host}:{port}"
    try:
        same = urlsplit(url).netloc == f"{host}:{port}"
    except ValueError:
        same = False
    return url if same else ""


class RegisteredSerializer(serializers.Serializer[Any]):
    """What a service is told: as much as older ones expect, and what became of its registration."""

    service_id = serializers.CharField()
    registered_at = serializers.DateTimeField()
    enabled = serializers.BooleanField()
    priority = serializers.IntegerField()
    ignored_types = serializers.ListField(child=serializers.CharField())


class TestedSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class ServiceViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Downloader],
):
    """Everything that fetches, the most preferred first."""

    queryset = Downloader.objects.prefetch_related("capabilities").order_by("-priority", "pk")
    serializer_class = ServiceSerializer
    lookup_value_regex = r"\d{1,18}"
    http_method_names = ("get", "patch", "post", "delete", "head", "options")

    @extend_schema(
        request=RegistrationSerializer,
        responses={200: RegisteredSerializer, 201: RegisteredSerializer},
    )
    @action(detail=False, methods=["post"])
    def register(self, request: Request) -> Response:
        """A downloader announces itself, as often as it likes. 201 the first time, 200 after that.

        What its owner decided here, whether it is enabled and its priority, stays as it is.
        """
        given = RegistrationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said, ignored = given.registration()
        downloader, created = registry.register(said)
        told = {
            "service_id": str(downloader.pk),
            "registered_at": downloader.registered_at,
            "enabled": downloader.enabled,
            "priority": downloader.priority,
            "ignored_types": ignored,
        }
        body = RegisteredSerializer(told).data
        return Response(body, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK)

    @extend_schema(request=None, responses=TestedSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Ask the downloader for a sign of life now."""
        ok, detail = registry.test(self.get_object())
        return Response({"ok": ok, "detail": detail})

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "force", bool, description="also with downloads; these are handed to others"
            )
        ],
        responses={
            204: None,
            409: OpenApiResponse(description="it has downloads; or it is built in"),
        },
    )
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a downloader. One that announces itself again comes back."""
        force = request.query_params.get("force", "").lower() in ("1", "true", "yes")
        registry.forget(self.get_object(), force=force)
        return Response(status=status.HTTP_204_NO_CONTENT)
