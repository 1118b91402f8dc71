"""The REST interface as a whole: it is described without a gap, and nothing that is sent to it is a bug of ours."""

import json
import os
import re
import warnings
from collections.abc import Iterator
from functools import cache
from io import StringIO
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from downloads.models import Downloader, Feed, FilterRule, Job, Link
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
"""Requests to each operation; few enough for every run of the suite."""
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**400, 1e308, "", " ", "x", "0", "-1", "٣", "\0", "a\0b",
    "\ud800", "é" * 300, "x" * 70_000, "../../etc/passwd", "/etc/passwd", "%00", "a/b", "a//b", "\\", "\n", "\u202e",
    "true", "null", "NaN", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "magnet:?", f"magnet:?xt=urn:btih:{'a' * 40}&dn=x&tr=%00", "http://[::1", "http://a:99999/", "https://a.test/x",
    "http://a.test/" + "x" * 9000, "ftp://a", "(a+)+$", "(?P<x>", "[", "'; DROP TABLE x; --",
    [], [None], [[]], [1, "a"], ["x"] * 600, {}, {"a": {"b": []}}, {"": None},
]  # fmt: skip


@cache
def described() -> dict[str, Any]:
    """The OpenAPI schema, as `/api/schema/` gives it."""
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_schema_is_made_without_a_warning_and_is_valid():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = StringIO()
        call_command("spectacular", "--validate", "--fail-on-warn", stdout=written)
    assert written.getvalue().startswith("openapi: 3.")


def routes(patterns: list[Any], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        here = before + re.sub(r"^\^|\$$|\\Z$", "", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)|<[^>]*>", "{}", here)


def test_every_path_of_the_rest_interface_is_described():
    paths = {re.sub(r"\{\w+\}", "{}", path) for path in described()["paths"]}
    ours = {
        route
        for route in routes(get_resolver().url_patterns)
        if route.startswith(("/api/v1/", "/downloader/", "/jobs/"))
    }
    assert len(ours) > 20
    assert ours - paths == set()


def test_every_operation_says_what_it_takes_and_gives():
    schema = described()
    for method, path, operation in operations(schema):
        assert operation.get("description"), f"{method} {path} has no words"
        good = [code for code in operation["responses"] if code.startswith("2")]
        assert good, f"{method} {path} gives nothing"
        names = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert names == set(re.findall(r"\{(\w+)\}", path)), f"{method} {path}"


def values(schema: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the schema allows, and now and then something else."""
    return st.integers(0, 9).flatmap(
        lambda die: st.sampled_from(ODD) if die == 0 else _fitting(schema, whole)
    )


def _fitting(schema: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _fitting(whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]], whole)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return st.one_of([_fitting(one, whole) for one in schema[several]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "integer":
        least = schema.get("minimum", -5)
        return st.integers(least, min(schema.get("maximum", least + 50), least + 50))
    if kind == "number":
        return st.floats(allow_nan=False)
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(values(schema.get("items", {}), whole), max_size=3)
    if kind == "object":
        known = {name: values(one, whole) for name, one in schema.get("properties", {}).items()}
        needed = set(schema.get("required", []))
        return st.fixed_dictionaries(
            {name: one for name, one in known.items() if name in needed},
            optional={name: one for name, one in known.items() if name not in needed},
        )
    if kind == "string":
        return st.one_of(
            st.sampled_from([one for one in ODD if isinstance(one, str)]), st.text(max_size=20)
        )
    return st.sampled_from(ODD)


@pytest.fixture
def known_ids() -> dict[str, list[str]]:
    """Rows of every kind, so that not everything is a 404."""
    site = SiteFactory(site_id="demo", base_url="http://127.0.0.1:9")
    jobs = [
        JobFactory(),
        JobFactory(running=True),
        JobFactory(failed=True),
        JobFactory(paused=True),
    ]
    link = JobFactory(download_type="http", url="https://a.test/x", source_site="link")
    downloader = Downloader.objects.create(name="box", kind="remote", base_url="http://127.0.0.1:9")
    feed = Feed(name="feed")
    feed.url = "http://127.0.0.1:9/rss"
    feed.save()
    rule = FilterRule.objects.create(kind="exclude", pattern="x")
    pushed = Link.objects.create(
        source="s",
        url="https://a.test/y",
        url_sha1="0" * 40,
        title="y",
        batch="b",
        download_type="http",
    )
    return {
        "/downloads": [str(job.pk) for job in [*jobs, link]] + [jobs[0].infohash],
        "/jobs": [str(job.pk) for job in jobs],
        "/sites": [site.pk],
        "/services": [str(downloader.pk)],
        "/feeds": [str(feed.pk)],
        "/filters": [str(rule.pk)],
        "/links": [str(pushed.pk)],
    }


def ids_for(path: str, known: dict[str, list[str]]) -> st.SearchStrategy[str]:
    ours = next((ids for start, ids in known.items() if start in path), ["1"])
    odd = [
        one for one in ODD if isinstance(one, str) and 0 < len(one) < 100 and "\ud800" not in one
    ]
    return st.one_of(st.sampled_from(ours), st.sampled_from(ours), st.sampled_from(odd))


OPERATIONS = [(method, path) for method, path, _ in operations(described())]


@pytest.mark.django_db
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_nothing_that_is_sent_is_a_bug_of_ours(
    method: str, path: str, known_ids: dict[str, list[str]], settings: Any
):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 200_000
    schema = described()
    operation = schema["paths"][path][method.lower()]
    client = Client(raise_request_exception=False, headers={"X-Api-Key": settings.API_KEY})
    body = (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema")
    )
    query = {
        one["name"]: values(one["schema"], schema)
        for one in operation.get("parameters", [])
        if one["in"] == "query"
    }

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        reference=ids_for(path, known_ids),
        said=st.fixed_dictionaries({}, optional=query),
        data=values(body, schema) if body else st.none(),
    )
    def send(reference: str, said: dict[str, Any], data: Any) -> None:
        url = re.sub(r"\{\w+\}", lambda _: quote(reference, safe=""), path)
        text = urlencode({name: _as_text(value) for name, value in said.items()}, doseq=True)
        answer = client.generic(
            method,
            f"{url}?{text}" if text else url,
            json.dumps(data) if body else b"",
            content_type="application/json",
        )
        if answer.status_code < 400:
            return
        told = (
            f"{method} {url}?{text} {data!r:.300} → {answer.status_code} {answer.content[:300]!r}"
        )
        # 503 is an answer: a site or a broker that is away, a stream that is served elsewhere.
        assert answer.status_code < 500 or answer.status_code == 503, told
        if answer["Content-Type"] == "application/json":
            assert {"code", "detail"} <= set(answer.json()) <= {"code", "detail", "fields"}, told

    send()
    assert Job.objects.count() < 10_000


def _as_text(value: Any) -> Any:
    """As it stands in a URL; half a character cannot."""
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return str(value)[:3000].encode("utf-8", "replace").decode()
