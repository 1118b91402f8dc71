"""Orders as a download client gives them."""

from typing import Any

from catalogue.releases import Identity
from downloads.services import Order


def order(
    site: str = "demo",
    slug: str = "sintel",
    season: int = 1,
    episode: int | None = 1,
    language: str = "German Dub",
    **rest: Any,
) -> Order:
    """An order for an episode; every field has a value that the demo catalogue knows."""
    identity = Identity(site, slug, season, episode, language)
    number = f"S{season:02}" + ("" if episode is None else f"E{episode:02}")
    name = rest.pop("name", f"{slug.title()}.{number}.German.1080p.WEB.H264-DEMO")
    return Order(infohash=identity.infohash, name=name, identity=identity, **rest)
