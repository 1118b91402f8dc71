"""A catalogue that misbehaves on command, in front of the demo's hosts and videos."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from anibridge.demo.pages import Classic
from anibridge.demo.server import build_app, in_thread
from anibridge.demo.titles import catalogue
from anibridge.demo.videos import VideoLibrary
from catalogue import refresh
from catalogue.index import current
from catalogue.models import Site
from tests.anibridge.lib import servers
from tests.anibridge.lib.servers import Server
from tests.catalogue import skyhook as local_skyhook
from tests.catalogue.skyhook import SkyHook

HTML = {"Content-Type": "text/html; charset=utf-8"}


class Pages(dict[str, Any]):
    """The demo's pages, but for those that a test has put in their place; play links lead to the demo's hosts."""

    def __init__(self, hosts: str) -> None:
        super().__init__()
        self.layout = Classic(catalogue())
        self._hosts = hosts

    def get(self, path: str, default: Any = None) -> Any:
        if path in self:
            return self[path]
        reply = self.layout.respond("GET", path, {})
        headers = {**HTML, **reply.headers}
        if headers.get("Location", "").startswith("/"):
            headers["Location"] = self._hosts + headers["Location"]
        return reply.status, headers, reply.body.encode()


@dataclass
class FaultySite:
    """The demo's catalogue under a second address; `site` is its row."""

    site: Site
    server: Server

    def fail(self, path: str, status: int = 503, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.server.routes[path] = (status, {**HTML, **named}, body)

    def asked(self, part: str = "") -> list[str]:
        """The paths that were asked for since the last call."""
        found = [path for path in self.server.paths if part in path]
        self.server.asked.clear()
        return found


@pytest.fixture
def other_server() -> Iterator[Server]:
    with servers.running() as running:
        yield running


@contextmanager
def moved(demo_site: Site) -> Iterator[FaultySite]:
    """The demo site at a server that a test can break. Its base URL needs no permission: it was typed."""
    with servers.running() as running:
        running.routes = Pages(demo_site.base_url)
        demo_site.base_url = f"http://{running.place}"
        demo_site.save()
        yield FaultySite(demo_site, running)


@pytest.fixture
def indexed(faulty: FaultySite) -> FaultySite:
    refresh.refresh_index("demo")
    faulty.site.refresh_from_db()
    faulty.asked()
    return faulty


@pytest.fixture
def skyhook(settings: Any) -> Iterator[SkyHook]:
    with local_skyhook.running(settings) as service:
        yield service


@contextmanager
def site_in_layout(
    key: str, library: VideoLibrary, settings: Any, *, priority: int = 50
) -> Iterator[Site]:
    """An enabled site with the demo's titles in its own layout, indexed."""
    with in_thread(build_app(library, site=key, rate=0)) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [
            *settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS,
            url.removeprefix("http://"),
        ]
        site = Site.objects.create(
            site_id=key,
            display_name=key,
            base_url=url,
            enabled=True,
            search_priority=priority,
        )
        refresh.refresh_index(key)
        current.forget()
        yield site


@pytest.fixture
def faulty(demo_site: Site) -> Iterator[FaultySite]:
    with moved(demo_site) as site:
        yield site


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was left to a worker: (task name, *arguments)."""
    messages: list[tuple[Any, ...]] = []

    def send_task(name: str, args: tuple[Any, ...] = (), **options: Any) -> None:
        messages.append((name, *args))

    monkeypatch.setattr("catalogue.probing.current_app.send_task", send_task)
    return messages
