"""A task is named by a string wherever it is sent; a name that nobody registered is a message that is lost."""

import ast
from pathlib import Path

import pytest
from django.conf import settings

from anibridge.celery import app

ROOT = settings.BASE_DIR
PACKAGES = ("anibridge", "catalogue", "downloads", "torznab", "qbshim", "strm", "wanted")
SENDERS = {"send_task", "signature"}


@pytest.fixture(scope="module")
def registered() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def name_of(node: ast.expr) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def hands_on(call: ast.Call) -> bool:
    """Whether it is `super().send_task(…)`: that names no task, whoever called it does."""
    owner = getattr(call.func, "value", None)
    return isinstance(owner, ast.Call) and name_of(owner.func) == "super"


def sent_names() -> dict[str, str]:
    """Task name → where it is sent from, for every call of `send_task` or `signature`."""
    found: dict[str, str] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and name_of(node.func) in SENDERS and not hands_on(node):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                named = [word.value for word in node.keywords if word.arg in ("name", "task")]
                first = (node.args or named)[0]
                assert isinstance(first, ast.Constant), f"{where}: a name that cannot be checked"
                found[first.value] = where
    return found


def test_every_task_that_is_sent_is_registered(registered: set[str]):
    sent = sent_names()
    assert "catalogue.probe" in sent  # the search itself works
    assert {name: where for name, where in sent.items() if name not in registered} == {}


def test_every_task_of_the_schedule_is_registered(registered: set[str]):
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled - registered == set()


def test_every_task_with_a_route_is_registered(registered: set[str]):
    assert set(settings.CELERY_TASK_ROUTES) - registered == set()


def test_a_scheduled_task_expires_before_its_next_turn():
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert isinstance(entry["schedule"], float | int), name
        # django-celery-beat reads `expire_seconds` and drops `expires` without a word.
        assert 0 < entry["options"]["expire_seconds"] < entry["schedule"], name


def test_a_task_is_named_after_its_app(registered: set[str]):
    for name in registered:
        if app.tasks[name].__module__.partition(".")[0] in PACKAGES:
            assert app.tasks[name].__module__ == f"{name.partition('.')[0]}.tasks", name
