"""The demo catalogue: AniWorld's layout, served by `manage.py serve_demo`, under an id of its own."""

from typing import ClassVar

from catalogue.sites.aniworld import AniWorld


class DemoSite(AniWorld):
    key = "demo"
    display_name = "Demo catalogue"
    base_urls: ClassVar[tuple[str, ...]] = ("http://127.0.0.1:8001",)
    release_group = "DEMO"
