"""Plug-ins: the loader's rules, and the documented example installed and used as its users would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from anibridge.demo.server import in_thread
from catalogue.sites import SITES, plugins
from catalogue.sites.aniworld import AniWorld
from catalogue.sites.base import SiteAdapter

PROJECT = Path(__file__).resolve().parents[3]


class Good(AniWorld):
    key = "good"


class SameKey(AniWorld):
    pass


class Reserved(AniWorld):
    key = "playlist"


class BadKey(AniWorld):
    key = "Not A Key"


class OtherLanguage(AniWorld):
    key = "klingon"
    languages = ("Klingon Dub",)


class Half(SiteAdapter):
    key = "half"


def point(name: str, target: str) -> EntryPoint:
    return EntryPoint(name=name, value=target, group=plugins.GROUP)


def load(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    return plugins.load(SITES, [point("it", f"{__name__}:{name}")])


def test_a_good_plugin_is_taken():
    assert load("Good") == ({"good": Good}, {})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SameKey", "«aniworld», which is taken"),
        ("Reserved", "«playlist», which is taken"),
        ("BadKey", "not a letter followed by"),
        ("OtherLanguage", "Klingon Dub"),
        ("Half", "lacks check"),
        ("point", "not a SiteAdapter class"),
        ("nothing_of_that_name", "cannot be loaded: AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_left_out_and_named(name: str, told: str):
    sites, problems = load(name)
    assert sites == {}
    assert told in problems["it"]


def test_a_plugin_that_breaks_on_import_does_not_break_the_others():
    found = [point("bad", "no_such_module_at_all:X"), point("good", f"{__name__}:Good")]
    sites, problems = plugins.load(SITES, found)
    assert list(sites) == ["good"]
    assert "ModuleNotFoundError" in problems["bad"]


PAGES = {
    "/titles": "<html><ul class=titles><li><a href='/title/the-example'>The Example</a></ul></html>",
    "/title/the-example": "<html><h1>The Example</h1><ol class=episodes><li><b>1</b><li><b>2</b></ol></html>",
    "/title/the-example/2": "<html><ul class=hosts><li><a href='/go/7'>VOE</a></ul></html>",
}


@pytest.fixture
def example_tv() -> Iterator[str]:
    """example.tv, as its adapter reads it."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/go/7":
            return web.Response(status=302, headers={"Location": f"http://{request.host}/host/7"})
        if request.path not in PAGES:
            return web.Response(status=404)
        return web.Response(text=PAGES[request.path], content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    with in_thread(app) as url:
        yield url


USE = """
import json
from catalogue import fetching, index, refresh
from catalogue.models import Site
site = Site.objects.get(pk="example_tv")
refreshed = refresh.refresh_index("example_tv")
client = fetching.client_for(site)
link = client.episode("the-example", 1, 2).links[0]
print(json.dumps({
    "enabled": site.enabled, "titles": refreshed.titles,
    "hit": [hit.slug for hit in index.current.get().search("The Example")],
    "episodes": [row.episode for row in client.season("the-example", 1)],
    "host": link.host, "url": client.host_url(link),
}))
"""


def run(*command: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_example_can_be_installed_and_used(tmp_path: Path, example_tv: str):
    source = tmp_path / "source"
    run("cp", "-r", str(PROJECT / "docs" / "example-plugin"), str(source), env=dict(os.environ))
    target = tmp_path / "site-packages"
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-build-isolation", "--target", str(target), str(source), env=dict(os.environ),
    )  # fmt: skip
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(target),
        "ANIBRIDGE_DATA_DIR": str(tmp_path / "data"),
        "CATALOGUE_SITES": "example_tv",
    }
    manage = (sys.executable, "manage.py")
    run(*manage, "prepare", env=env)
    address = f"from catalogue.models import Site; Site.objects.filter(pk='example_tv').update(base_url='{example_tv}')"
    run(*manage, "shell", "--no-imports", "-c", address, env=env)
    said = json.loads(run(*manage, "shell", "--no-imports", "-c", USE, env=env))
    assert said == {
        "enabled": True,
        "titles": 1,
        "hit": ["the-example"],
        "episodes": [1, 2],
        "host": "VOE",
        "url": f"{example_tv}/host/7",
    }
