"""Talking to the API as clients do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from catalogue.models import Site
from catalogue.releases import Identity, Release
from downloads.models import Job
from qbshim import auth, maindata, order, preferences
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory, JobFileFactory

UNKNOWN = "0" * 40
PASSWORD = "adminadmin"


class Caller:
    """A client of the API: keeps its cookie, sends no token of the framework."""

    def __init__(self, **headers: str) -> None:
        self.http = Client(enforce_csrf_checks=True, headers=headers)

    def get(self, path: str, /, **params: Any) -> HttpResponse:
        return self.http.get(f"/api/v2/{path}", params)

    def post(self, path: str, /, **data: Any) -> HttpResponse:
        """Urlencoded, as Sonarr sends small forms."""
        return self.http.post(
            f"/api/v2/{path}",
            urlencode(data),
            content_type="application/x-www-form-urlencoded",
        )

    def multipart(self, path: str, /, **data: Any) -> HttpResponse:
        """As Sonarr sends forms with a long value or a file."""
        return self.http.post(f"/api/v2/{path}", data)

    def sign_in(self, password: str = PASSWORD, username: str = "admin") -> HttpResponse:
        return self.post("auth/login", username=username, password=password)

    @property
    def sid(self) -> str:
        return self.http.cookies["SID"].value

    def info(self, **params: Any) -> list[dict[str, Any]]:
        return self.get("torrents/info", **params).json()

    def one(self, job: Job | str) -> dict[str, Any]:
        """The only item with this hash."""
        infohash = job if isinstance(job, str) else job.infohash
        [item] = self.info(hashes=infohash)
        return item


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What a process remembers of the database is not true of the next test's."""
    yield
    order.current.forget()
    preferences.believed.forget()
    auth.passwords.forget()
    maindata.points.forget()


@pytest.fixture(params=["the same process", "another process"])
def asked_next(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which web process answers what a client of `sync/maindata` asks next."""
    if request.param == "another process":
        monkeypatch.setattr(maindata.points, "get", lambda *_: None)
    return str(request.param)


@pytest.fixture(autouse=True)
def downloads_here(settings: Any, tmp_path: Path) -> Path:
    """Every test has its own download folder, and clients see it under its own name."""
    settings.DOWNLOAD_DIR = (tmp_path / "downloads").resolve()
    settings.DOWNLOAD_DIR.mkdir()
    settings.QBIT_PUBLIC_SAVE_PATH = ""
    return settings.DOWNLOAD_DIR


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_superuser("admin", "admin@example.org", PASSWORD)


@pytest.fixture
def stranger(db: None) -> Caller:
    """A client that has not signed in."""
    return Caller()


@pytest.fixture
def sonarr(owner: User) -> Caller:
    """A client with a session."""
    caller = Caller()
    assert caller.sign_in().content == b"Ok."
    return caller


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo")


@pytest.fixture
def release(site: Site) -> Callable[..., Release]:
    """Releases of the demo site, as the indexer offers them."""

    def made(
        episode: int | None = 1, season: int = 1, slug: str = "sintel", **rest: Any
    ) -> Release:
        identity = Identity("demo", slug, season, episode, "German Dub", **rest)
        return Release(identity, title=slug.title(), group="DEMO", height=1080)

    return made


@pytest.fixture
def finished(downloads_here: Path) -> Callable[..., Job]:
    """Jobs that are done, with their file on the disk."""

    def made(**fields: Any) -> Job:
        job = JobFactory(completed=True, **fields)
        JobFileFactory(job=job)
        path = Path(job.result_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
        return job

    return made
