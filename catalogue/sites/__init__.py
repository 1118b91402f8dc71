"""The sites that AniBridge can read. A new one is one file and one line here."""

from functools import cache

from anibridge.lib.text import shorten
from catalogue.errors import UnknownSite
from catalogue.sites import plugins
from catalogue.sites.aniworld import AniWorld
from catalogue.sites.base import SiteAdapter
from catalogue.sites.demo import DemoSite
from catalogue.sites.megakino import Megakino
from catalogue.sites.sto import Sto

SITES: dict[str, type[SiteAdapter]] = {
    site.key: site for site in (AniWorld, DemoSite, Megakino, Sto)
}


_plugins, PLUGIN_PROBLEMS = plugins.load(SITES)
"""What is wrong with plug-ins that could not be used, by the name of their entry point."""
SITES |= _plugins


def get_adapter(key: str) -> SiteAdapter:
    """The adapter of a site id, shared by all callers; raises UnknownSite."""
    if key not in SITES:
        raise UnknownSite(
            f"no site is called «{shorten(key, 80)}»; known: {', '.join(sorted(SITES))}"
        )
    return _adapter(key)


@cache
def _adapter(key: str) -> SiteAdapter:
    return SITES[key]()
