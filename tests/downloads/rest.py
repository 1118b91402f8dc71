"""`/api/v1/downloads` as a client with the API key sees it."""

from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

DOWNLOADS = "/api/v1/downloads"
KEYS = {
    "id", "hash", "name", "download_type", "status", "progress", "downloaded_bytes", "total_bytes", "speed",
    "eta", "source_site", "downloader", "url", "category", "save_path", "result_path", "error_message",
    "retry_count", "created_at", "started_at", "completed_at",
}  # fmt: skip
"""Of a download, exactly."""


def client() -> APIClient:
    api = APIClient()
    api.credentials(HTTP_X_API_KEY=settings.API_KEY)
    return api


def listed(api: APIClient, **query: Any) -> list[int]:
    """The ids of a list's page, in order."""
    answer = api.get(DOWNLOADS, query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]
