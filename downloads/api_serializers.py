"""What `/api/v1/downloads` takes and gives: every field with its bounds, so that the schema says them too."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from anibridge.lib.masking import masked_text
from catalogue.releases import MAX_MAGNET_BYTES, MAX_NUMBER
from downloads import asking, shown
from downloads.control import MAX_AT_ONCE, Action
from downloads.detection import DownloadType
from downloads.models import Job, JobEvent, JobFile, JobStatus, Layout, LinkMode
from downloads.models.links import validate_category
from downloads.selecting import Selection

MAX_ITEMS = 500
"""Downloads in one POST. Each is a transaction of its own: more would hold a thread for too long."""
MAX_INT = 2**63 - 1
MAX_HASHES = 500
EXAMPLE = {
    "id": 7,
    "hash": "02d3a61a6fa98bd0be05fd416d75f1a4e2788cf4",
    "name": "Sintel.S01E01.German.1080p.WEB.H264-DEMO",
    "download_type": "episode",
    "status": "downloading",
    "progress": 0.25,
    "downloaded_bytes": 104857600,
    "total_bytes": 419430400,
    "speed": 5242880,
    "eta": 60,
    "source_site": "demo",
    "downloader": "builtin",
    "url": "magnet:?xt=urn:btih:02d3a61a6fa98bd0be05fd416d75f1a4e2788cf4&dn=Sintel.S01E01…",
    "category": "tv",
    "save_path": "/downloads/tv",
    "result_path": "",
    "error_message": "",
    "retry_count": 0,
    "created_at": "2026-01-02T03:04:05Z",
    "started_at": "2026-01-02T03:04:06Z",
    "completed_at": None,
}


class Strict(serializers.Serializer[Any]):
    """Refuses what it does not know: a misspelt field would otherwise do nothing, or too much."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(str(name)[:60] for name in data.keys() - self.fields.keys())
            if unknown:
                known = ", ".join(str(name) for name in self.fields)
                raise serializers.ValidationError(
                    {name: [f"there is no such field; known: {known}"] for name in unknown[:10]}
                )
        return super().to_internal_value(data)


class Moment(serializers.DateTimeField):
    """A moment, or a day for its beginning. A «+» that a URL made a blank of is one again."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip()
            if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
                value += "T00:00:00"
            value = re.sub(r"(T[\d:.]+) (?=\d\d:?\d\d$)", r"\1+", value)
        moment = super().to_internal_value(value)
        if not 1970 <= moment.year < 9999:
            raise serializers.ValidationError("the year must be from 1970 to 9998")
        return moment


@extend_schema_serializer(component_name="Download")
class DownloadSerializer(serializers.Serializer[Job]):
    """A download, the same in lists, alone and in live progress. Keys in `url` are masked."""

    id = serializers.IntegerField()
    hash = serializers.CharField(help_text="40 hex digits; what makes two requests the same.")
    name = serializers.CharField(help_text="The release name, which the file gets.")
    download_type = serializers.ChoiceField([one.value for one in DownloadType])
    status = serializers.ChoiceField(JobStatus.values)
    progress = serializers.FloatField(min_value=0, max_value=1)
    downloaded_bytes = serializers.IntegerField()
    total_bytes = serializers.IntegerField(allow_null=True)
    speed = serializers.IntegerField(help_text="Bytes a second.")
    eta = serializers.IntegerField(allow_null=True, help_text="Seconds.")
    source_site = serializers.CharField(help_text="A site id of the catalogue, or `link`.")
    downloader = serializers.CharField(allow_null=True, help_text="Who has it; null: nobody yet.")
    url = serializers.CharField(help_text="The link that stands for it.")
    category = serializers.CharField()
    save_path = serializers.CharField()
    result_path = serializers.CharField(help_text="The file or folder, once it is complete.")
    error_message = serializers.CharField()
    retry_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Job) -> dict[str, Any]:
        return shown.download(instance)


class FileSerializer(serializers.ModelSerializer[JobFile]):
    """A file of a download; of a season, an episode of it."""

    class Meta:
        model = JobFile
        fields = ("season", "episode", "path", "size_bytes", "duration_seconds")


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    """A change of a download's status."""

    class Meta:
        model = JobEvent
        fields = ("at", "old", "new", "reason", "source_site")

    def to_representation(self, instance: JobEvent) -> dict[str, Any]:
        row: dict[str, Any] = super().to_representation(instance)
        return row | {"reason": masked_text(instance.reason)}


class NamingSerializer(Strict):
    """For the layout `library`: what the file is called after, as Sonarr and Radarr name theirs."""

    kind = serializers.ChoiceField(["movie", "episode"])
    title = serializers.CharField(max_length=300)
    year = serializers.IntegerField(min_value=1800, max_value=2200, required=False, allow_null=True)
    season = serializers.IntegerField(min_value=0, max_value=MAX_NUMBER, required=False)
    episodes = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_NUMBER),
        min_length=1, max_length=100, required=False,
    )  # fmt: skip
    episode_title = serializers.CharField(max_length=300, required=False, allow_blank=True)
    folder = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="In place of the usual folder."
    )
    root = serializers.CharField(  # type: ignore[assignment]
        max_length=asking.MAX_PATH, required=False,
        help_text="One of DOWNLOAD_LIBRARY_ROOTS; may be left out where there is one only.",
    )  # fmt: skip


class CategoryField(serializers.CharField):
    """A name, or names divided by single slashes."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(max_length=200, allow_blank=True, validators=[validate_category], **rest)


class RateLimitField(serializers.IntegerField):
    def __init__(self, **rest: Any) -> None:
        super().__init__(
            min_value=1, max_value=MAX_INT, allow_null=True,
            help_text="Bytes a second; null: none of its own.", **rest,
        )  # fmt: skip


class NewDownloadSerializer(Strict):
    """A link (`url` or `magnet`), or an episode of the catalogue (`site`, `slug`, `season`, `episode`, `language`)."""

    url = serializers.CharField(
        required=False, max_length=MAX_MAGNET_BYTES,
        help_text="magnet:, http: or https:, also of a .torrent file.",
    )  # fmt: skip
    magnet = serializers.CharField(required=False, max_length=MAX_MAGNET_BYTES)
    site = serializers.CharField(required=False, max_length=40, help_text="A site id.")
    slug = serializers.CharField(required=False, max_length=200)
    season = serializers.IntegerField(required=False, min_value=0, max_value=MAX_NUMBER)
    episode = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_NUMBER, allow_null=True,
        help_text="null: the whole season.",
    )  # fmt: skip
    language = serializers.CharField(required=False, max_length=40, help_text="`German Dub` …")
    provider = serializers.CharField(
        required=False, max_length=60, allow_blank=True, help_text="The host to be asked first."
    )
    mode = serializers.ChoiceField(
        LinkMode.choices,
        required=False,
        help_text="`strm`: a file that plays it; not for torrents.",
    )
    name = serializers.CharField(required=False, max_length=500, allow_blank=True)
    category = CategoryField(required=False)
    save_path = serializers.CharField(
        required=False, max_length=asking.MAX_PATH, allow_blank=True,
        help_text="Below the download folder, or below another configured root.",
    )  # fmt: skip
    paused = serializers.BooleanField(required=False)
    priority = serializers.ChoiceField(["top", "bottom"], required=False)
    forced = serializers.BooleanField(
        required=False, help_text="Start although all slots are taken."
    )
    rate_limit = RateLimitField(required=False)
    checksum = serializers.RegexField(
        asking.CHECKSUM, required=False, max_length=140, help_text="`sha256:…`, `sha1:…`, `md5:…`."
    )
    layout = serializers.ChoiceField(Layout.values, required=False)
    naming = NamingSerializer(required=False)

    def validate_checksum(self, value: str) -> str:
        if not asking.CHECKSUM.fullmatch(value):
            raise serializers.ValidationError("must be sha256:…, sha1:… or md5:… in hex digits")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        ways = [name for name in ("url", "magnet", "slug") if name in attrs]
        if len(ways) != 1:
            said = "give one of url, magnet, or site and slug"
            raise serializers.ValidationError({"url": said})
        own = ("site", "season", "language")
        if ways == ["slug"]:
            lacking = [name for name in (*own, "episode") if name not in attrs]
            if lacking:
                raise serializers.ValidationError(dict.fromkeys(lacking, "is needed with slug"))
        else:
            odd = [name for name in (*own, "episode", "provider") if name in attrs]
            if odd:
                raise serializers.ValidationError(dict.fromkeys(odd, "only goes with slug"))
        if attrs.get("layout") == Layout.LIBRARY and "naming" not in attrs:
            raise serializers.ValidationError({"naming": "is needed for the layout library"})
        return attrs

    def wish(self) -> asking.Wish:
        """What was validated."""
        said = self.validated_data
        episode = None
        if "slug" in said:
            episode = asking.Episode(
                **{name: said[name] for name in ("site", "slug", "season", "episode", "language")},
                provider=said.get("provider", ""),
                mode=said.get("mode", "download"),
            )
        kept = ("name", "category", "save_path", "paused", "priority", "forced", "rate_limit",
                "checksum", "layout", "naming")  # fmt: skip
        return asking.Wish(
            link=said.get("url") or said.get("magnet") or "",
            episode=episode,
            mode="download" if episode else said.get("mode", "download"),
            **{name: said[name] for name in kept if name in said},
        )


class NewDownloadsSerializer(Strict):
    """Several at once; each is judged by itself."""

    items = serializers.ListField(child=NewDownloadSerializer(), min_length=1, max_length=MAX_ITEMS)


class ItemAnswerSerializer(serializers.Serializer[Any]):
    """What became of one item; `index` is its place in the request."""

    index = serializers.IntegerField()
    url = serializers.CharField(help_text="Its link with the keys masked.")
    status = serializers.ChoiceField(["created", "duplicate", "rejected"])
    reason = serializers.CharField(required=False)
    id = serializers.IntegerField(required=False)
    hash = serializers.CharField(required=False)


class ItemAnswersSerializer(serializers.Serializer[Any]):
    results = ItemAnswerSerializer(many=True)


class ChangeSerializer(Strict):
    """What can be changed about a download; what is left out stays."""

    priority = serializers.ChoiceField(["top", "bottom", "up", "down"], required=False)
    forced = serializers.BooleanField(
        required=False, help_text="Start although all slots are taken."
    )
    category = CategoryField(required=False)
    rate_limit = RateLimitField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError(
                "say what is to be changed: priority, forced, category or rate_limit"
            )
        return attrs


class SettingsSerializer(serializers.Serializer[Any]):
    """How a download is treated."""

    queue_position = serializers.IntegerField(
        allow_null=True, help_text="Among those that wait, from 1."
    )
    forced = serializers.BooleanField()
    rate_limit = serializers.IntegerField(allow_null=True)
    rate_limit_note = serializers.CharField(
        help_text="Why the downloader that has it does not keep to its limit; empty where it does."
    )
    checksum = serializers.CharField()
    layout = serializers.ChoiceField(Layout.values)
    naming = serializers.DictField()
    not_before = serializers.DateTimeField(help_text="It waits until then.")
    refusals = serializers.DictField(
        child=serializers.CharField(), help_text="Downloader → why it did not take this."
    )


class SelectionSerializer(Strict):
    """What must be true of a download; every part that is given."""

    status = serializers.ListField(
        child=serializers.ChoiceField(JobStatus.values), required=False, max_length=20
    )
    category = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Empty: without one."
    )
    source_site = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=50
    )
    download_type = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in DownloadType]),
        required=False, max_length=10,
    )  # fmt: skip
    downloader = serializers.CharField(
        max_length=100, required=False, allow_blank=True,
        help_text="The name of who has it; empty: nobody yet.",
    )  # fmt: skip
    name = serializers.CharField(
        max_length=200, required=False, help_text="Words that the name holds, in any order."
    )
    created_since = Moment(required=False)
    created_until = Moment(required=False)
    hash = serializers.ListField(
        child=serializers.RegexField(r"^[0-9A-Fa-f]{40}$"), required=False, max_length=MAX_HASHES
    )
    id = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_INT),
        required=False, max_length=MAX_HASHES,
    )  # fmt: skip

    def selection(self) -> Selection:
        """What was validated."""
        said = self.validated_data
        return selection_of(said)


def selection_of(said: dict[str, Any]) -> Selection:
    """The selection that a validated filter stands for."""
    return Selection(
        statuses=said.get("status", ()),
        category=said.get("category"),
        source_sites=said.get("source_site", ()),
        download_types=said.get("download_type", ()),
        downloader=said.get("downloader"),
        name=said.get("name", ""),
        created_since=said.get("created_since"),
        created_until=said.get("created_until"),
        hashes=said.get("hash", ()),
        ids=said.get("id", ()),
    )


class BulkSerializer(Strict):
    """One command for many: `ids` and `hashes`, or a `filter`, or `all`. What the action is not for is left out."""

    action = serializers.ChoiceField([one.value for one in Action])
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_INT),
        required=False, max_length=MAX_AT_ONCE,
    )  # fmt: skip
    hashes = serializers.ListField(
        child=serializers.RegexField(r"^[0-9A-Fa-f]{40}$"), required=False, max_length=MAX_AT_ONCE
    )
    filter = SelectionSerializer(required=False)
    all = serializers.BooleanField(required=False, help_text="Every download.")
    delete_files = serializers.BooleanField(required=False, help_text="For the action delete.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = bool(attrs.get("ids") or attrs.get("hashes"))
        filtered = "filter" in attrs and not selection_of(attrs["filter"]).is_everything
        if [named, filtered, bool(attrs.get("all"))].count(True) != 1:
            raise serializers.ValidationError(
                "name the downloads in exactly one way: ids and hashes, a filter that says something, or all: true"
            )
        if attrs.get("delete_files") and attrs["action"] != Action.DELETE:
            raise serializers.ValidationError({"delete_files": "only for the action delete"})
        return attrs


class OutcomeSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(required=False)
    hash = serializers.CharField(required=False)
    status = serializers.ChoiceField(["done", "refused", "unknown"])
    reason = serializers.CharField(required=False)


class OutcomesSerializer(serializers.Serializer[Any]):
    """`done`, `refused` and `unknown` are how many there are of each."""

    done = serializers.IntegerField()
    refused = serializers.IntegerField()
    unknown = serializers.IntegerField()
    results = OutcomeSerializer(many=True)


class BytesSerializer(serializers.Serializer[Any]):
    today = serializers.IntegerField(help_text="Of what was completed since midnight.")
    total = serializers.IntegerField(help_text="Of what was ever completed, as far as remembered.")
    remaining = serializers.IntegerField(help_text="That running and waiting downloads lack.")


class SourceStatsSerializer(serializers.Serializer[Any]):
    source_site = serializers.CharField()
    count = serializers.IntegerField()
    statuses = serializers.DictField(child=serializers.IntegerField())
    speed = serializers.IntegerField()
    bytes = serializers.IntegerField()


class StatsSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    statuses = serializers.DictField(
        child=serializers.IntegerField(), help_text="Status → how many are in it, also none."
    )
    speed = serializers.IntegerField(help_text="Bytes a second, all together.")
    completed_today = serializers.IntegerField()
    bytes = BytesSerializer()
    sources = SourceStatsSerializer(many=True)
