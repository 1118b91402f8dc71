"""`/api/v1/downloads` as a client with the API key sees it."""

from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

from downloads.models import Job

DOWNLOADS = "/api/v1/downloads"
KEYS = {
    "id", "hash", "name", "download_type", "status", "progress", "downloaded_bytes", "total_bytes", "speed",
    "eta", "source_site", "downloader", "url", "category", "save_path", "result_path", "error_message",
    "retry_count", "created_at", "started_at", "completed_at",
}  # fmt: skip
"""Of a download, exactly."""
SINTEL = {"site": "demo", "slug": "sintel", "season": 1, "episode": 1, "language": "German Dub"}


def client() -> APIClient:
    api = APIClient()
    api.credentials(HTTP_X_API_KEY=settings.API_KEY)
    return api


def listed(api: APIClient, **query: Any) -> list[int]:
    """The ids of a list's page, in order."""
    answer = api.get(DOWNLOADS, query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def created(api: APIClient, body: Any, status: int = 201) -> dict[str, Any]:
    """What the answer to asking for one, or many, says."""
    answer = api.post(DOWNLOADS, body)
    assert answer.status_code == status, answer.content
    return answer.json()


def refused(api: APIClient, body: Any, status: int = 400) -> dict[str, Any]:
    """What the answer to asking for the impossible says; nothing was queued."""
    answer = api.post(DOWNLOADS, body)
    assert answer.status_code == status, answer.content
    assert not Job.objects.exists()
    assert {"code", "detail"} <= set(answer.json()) <= {"code", "detail", "fields"}
    return answer.json()
