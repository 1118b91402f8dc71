"""What the indexer says when it cannot answer: always XML, never a page, and the codes that clients act upon."""

import logging
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from anibridge.lib.errors import Misconfigured
from catalogue.errors import SiteUnavailable
from tests.catalogue.factories import SiteFactory
from tests.torznab.checker import read_error, read_feed
from tests.torznab.conftest import Ask, make_show


@pytest.mark.parametrize(
    "key", ["", "apikey=", "apikey=wrong", "apikey=%ED%A0%80%00", "apikey=Sch%C3%BCssel", "x"]
)
@pytest.mark.parametrize("path", ["/torznab/api", "/torznab/aniworld/api", "/torznab/nowhere/api"])
def test_without_the_right_key_nothing_is_answered(client, key: str, path: str):
    for function in ("caps", "search", "nonsense", ""):
        error = read_error(client.get(f"{path}?t={function}&{key}"))
        assert error.code == 100


def test_a_key_that_only_begins_right_is_wrong(client):
    error = read_error(client.get(f"/torznab/api?t=caps&apikey={settings.API_KEY}x"))
    assert error.code == 100


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("", 200),
        ("t=", 200),
        ("t=nonsense", 202),
        ("t=music", 202),
        ("t=%00%3Cscript%3E", 202),
        ("t=search&limit=many", 201),
        ("t=search&offset=1.5", 201),
        ("t=search&limit=" + "9" * 5000, 201),
        ("t=search&limit=%D9%A3", 201),
        ("t=tvsearch&q=Sintel&season=one", 201),
        ("t=tvsearch&q=Sintel&season=1&ep=03-15", 201),
        ("t=search&cat=5030,tv", 201),
    ],
)
def test_a_request_that_makes_no_sense_is_told_what_is_wrong(ask: Ask, asked: str, code: int):
    assert read_error(ask(asked)).code == code


@pytest.mark.parametrize("site", ["nowhere", "all", "%00", "%3Cb%3E", "x" * 3000, "connectivity"])
def test_a_site_that_is_not_there_is_an_error(ask: Ask, site: str):
    assert read_error(ask("t=caps", path=f"/torznab/{site}/api")).code == 201


def test_a_site_that_is_switched_off_is_an_error(ask: Ask):
    SiteFactory(site_id="demo", enabled=False)
    assert read_error(ask("t=search", path="/torznab/demo/api")).code == 201


@pytest.mark.parametrize(
    "failure", [SiteUnavailable("the site is down"), Misconfigured("set «this»")]
)
def test_a_failure_of_the_catalogue_is_a_failure_of_the_indexer(ask: Ask, monkeypatch, failure):
    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr("torznab.services.search", fail)
    error = read_error(ask("t=search&q=Sintel"))
    assert (error.code, error.description) == (900, str(failure))


def test_a_database_that_does_not_answer_is_no_page(ask: Ask, client, monkeypatch):
    make_show("Sintel")
    (item, *_) = read_feed(ask("t=search"))

    def locked(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("torznab.services.search", locked)
    monkeypatch.setattr("catalogue.verifying.verify", locked)
    answer = ask("t=search&q=Sintel")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert b'code="500"' in answer.content
    assert b"locked" not in answer.content
    grabbed = client.get(urlsplit(item.url).path)
    assert grabbed.status_code == 503
    assert grabbed.headers["Content-Type"].startswith("text/plain")


def test_numbers_beyond_any_show_find_nothing(ask: Ask):
    make_show("Sintel")
    for numbers in ("season=999999999999999999&ep=1", "season=1&ep=999999999", "season=-1&ep=1"):
        assert read_feed(ask(f"t=tvsearch&q=Sintel&{numbers}")) == []


@pytest.mark.parametrize(
    "path",
    [
        "/torznab",
        "/torznab/",
        "/torznab/aniworld",
        "/torznab/api/x",
        "/torznab//api",
        "/torznab/grab/",
        "/torznab/%00/x",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_address_that_is_nowhere_is_told_in_xml(path: str, method: str):
    strict = Client(enforce_csrf_checks=True)
    answer = getattr(strict, method)(path)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (
        404,
        "application/xml",
    )
    assert b'code="202"' in answer.content
    assert b"/torznab/api" in answer.content


@pytest.mark.parametrize("path", ["/torznab/api/", "/torznab/aniworld/api/"])
def test_a_slash_at_the_end_of_the_address_does_no_harm(ask: Ask, path: str):
    make_show("Sintel")
    assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1", path=path))) == 2


def test_a_name_that_is_no_host_name_is_told_so(client):
    answer = client.get("/torznab/api?t=caps", headers={"host": "media_anibridge_1:8000"})
    assert answer.status_code == 400
    assert b"underscore" in answer.content


def test_too_many_parameters_are_refused_in_xml(ask: Ask):
    assert read_error(ask("&".join(f"x{n}=1" for n in range(2000)))).code == 201


def test_a_broken_form_is_refused_in_xml(client):
    response = client.post(
        "/torznab/api", b"nonsense", content_type="multipart/form-data; boundary=\u00e4"
    )
    assert read_error(response).code == 201


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options", "trace"])
def test_other_methods_are_refused_in_xml(client, method: str):
    response = getattr(client, method)("/torznab/api")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert "xml" in response.headers["Content-Type"]
    assert b"<error " in response.content


def test_the_key_is_in_no_log_and_no_answer(ask: Ask, caplog):
    caplog.set_level(logging.DEBUG)
    make_show("Sintel")
    for asked in ("t=caps", "t=search", "t=search&q=Sintel+S01E01", "t=nonsense", "t=search&cat=x"):
        assert settings.API_KEY.encode() not in ask(asked).content
    assert settings.API_KEY not in caplog.text
