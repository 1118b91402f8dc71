"""The ASGI side: what is routed where, driven as a server drives it."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.downloads.listening import Ear, close_connections

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    close_connections()


def answer(path: str, method: str = "GET") -> Ear:
    async def talk() -> Ear:
        async with Ear(path, method=method) as ear:
            return await ear.over()

    return asyncio.run(talk())


def test_ordinary_paths_reach_django():
    told = answer("/healthz")
    assert (told.status, told.body) == (200, b"ok")


def test_a_head_request_has_no_body():
    told = answer("/healthz", "HEAD")
    assert (told.status, told.body) == (200, b"")


@pytest.mark.parametrize("path", ["/jobs/999999/events", "/api/v1/downloads/999999/events"])
def test_events_are_answered_beside_django(path: str):
    told = answer(path)
    assert (told.status, json.loads(told.body)["code"]) == (404, "not_found")


def test_what_only_looks_like_events_reaches_django():
    told = answer("/api/v1/downloads/1/events/more")
    assert told.status == 404
