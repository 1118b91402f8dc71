"""Foreign keys point the way the imports do: import-linter cannot see a model that is named by a string."""

from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

# An app may refer to itself and to what stands below it; edge apps never to each other.
BELOW = {
    "anibridge": {"anibridge"},
    "catalogue": {"catalogue"},
    "downloads": {"downloads", "catalogue"},
    "torznab": {"torznab", "downloads", "catalogue"},
    "qbshim": {"qbshim", "downloads", "catalogue"},
    "strm": {"strm", "downloads", "catalogue"},
    "wanted": {"wanted", "downloads", "catalogue"},
}
OURS = [model for label in BELOW for model in apps.get_app_config(label).get_models()]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_a_model_refers_only_to_what_is_below_it(model):
    here = model._meta.app_label
    for field in model._meta.get_fields():
        if field.is_relation and not field.auto_created and field.related_model:
            there = field.related_model._meta.app_label
            assert there in BELOW[here] or there not in BELOW, f"{field} points to {there}"


def test_every_app_of_ours_has_its_place():
    here = settings.BASE_DIR
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == here}
    assert ours == set(BELOW)
