"""A template that does not compile is found here, not by whoever opens the page."""

from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.template.loader import get_template

FOLDERS = [settings.BASE_DIR / "templates"] + [
    Path(config.path) / "templates" for config in apps.get_app_configs() if "." not in config.name
]
OURS = sorted(
    str(path.relative_to(folder))
    for folder in FOLDERS
    if folder.is_relative_to(settings.BASE_DIR) and ".venv" not in folder.parts
    for path in folder.rglob("*.*")
    if path.suffix in (".html", ".txt", ".xml")
)


def test_there_are_templates():
    assert OURS


@pytest.mark.parametrize("name", OURS)
def test_a_template_compiles(name: str):
    assert get_template(name)
