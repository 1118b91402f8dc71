"""A job's status has one door, `downloads.transitions`: elsewhere nobody writes it."""

import ast
from pathlib import Path

import pytest
from django.conf import settings

DOOR = Path("downloads/transitions.py")
ROOT = settings.BASE_DIR
PACKAGES = ("anibridge", "catalogue", "downloads", "torznab", "qbshim", "strm", "wanted")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
WRITES = {"update", "update_or_create", "bulk_update"}
OTHERS = ("response", "answer", "reply", "self")
"""What else has a status that may be set: answers over HTTP, and an object's own."""


def writes(source: str, *, jobs_only: bool = False) -> list[int]:
    """Lines that set somebody's `.status` or update a column of that name; with `jobs_only` only those that speak
    of a job, for an app whose own models have a status too."""
    found: list[int] = []
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [
                one.lineno for target in targets for one in ast.walk(target) if _is_status(one)
            ]
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            named = {word.arg for word in node.keywords}
            if name in WRITES and "status" in named:
                found.append(node.lineno)
            if name == "setattr" and any(_says_status(one) for one in node.args[1:2]):
                found.append(node.lineno)
    if jobs_only:
        return [line for line in found if "job" in lines[line - 1].casefold()]
    return found


def _is_status(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or node.attr != "status":
        return False
    owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
    return owner not in OTHERS


def _says_status(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == "status"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_transitions_write_a_status(module: Path):
    lines = writes((ROOT / module).read_text(), jobs_only=module.parts[0] == "wanted")
    if module != DOOR:
        assert lines == [], f"{module} sets a status; use downloads.transitions"


@pytest.mark.parametrize(
    "source",
    [
        "job.status = 1",
        "job.status += 1",
        "a, job.status = 1, 2",
        "Job.objects.filter(pk=1).update(progress=1, status=2)",
        "setattr(job, 'status', 1)",
    ],
)
def test_a_planted_write_is_seen(source: str):
    assert writes(source) == [1]


def test_the_status_of_another_model_is_its_own_apps_business():
    assert writes("scan.status = 1", jobs_only=True) == []
    assert writes("job.status = 1", jobs_only=True) == [1]


@pytest.mark.parametrize(
    "source",
    ["job.status == 1", "x = job.status", "response.status = 1", "Job.objects.filter(status=1)"],
)
def test_what_only_reads_is_left_alone(source: str):
    assert writes(source) == []
