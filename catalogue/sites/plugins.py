"""Other people's site adapters: packages with an entry point in the group `anibridge.sites` (docs/plugins.md).

A plug-in that is broken is reported and left out; it never keeps AniBridge from starting.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from catalogue.sites.base import LANGUAGES, SiteAdapter

logger = logging.getLogger(__name__)

GROUP = "anibridge.sites"
RESERVED = frozenset({"playlist", "link", "connectivity"})
"""Ids with a meaning of their own: they stand in infohashes of other kinds."""
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load(
    builtin: Mapping[str, type[SiteAdapter]], found: Iterable[EntryPoint] | None = None
) -> tuple[dict[str, type[SiteAdapter]], dict[str, str]]:
    """The usable plug-ins by site id, and by entry point name what is wrong with the others."""
    sites: dict[str, type[SiteAdapter]] = {}
    problems: dict[str, str] = {}
    for point in entry_points(group=GROUP) if found is None else found:
        try:
            adapter = point.load()
        except Exception as error:  # noqa: BLE001  any code may be behind it
            problem = f"cannot be loaded: {type(error).__name__}: {error}"
        else:
            problem = _problem(adapter, {**builtin, **sites})
        if problem:
            problems[point.name] = problem
            logger.warning("the site plug-in «%s» (%s) %s", point.name, point.value, problem)
        else:
            sites[adapter.key] = adapter
    return sites, problems


def _problem(adapter: object, taken: Mapping[str, type[SiteAdapter]]) -> str:
    """Why a class is no adapter that can be used; empty when it is one."""
    if not (isinstance(adapter, type) and issubclass(adapter, SiteAdapter)):
        return "is not a SiteAdapter class"
    if missing := sorted(getattr(adapter, "__abstractmethods__", ())):
        return f"lacks {', '.join(missing)}"
    needed = ("key", "display_name", "base_urls", "release_group", "languages", "slug_pattern")
    if absent := [name for name in needed if not getattr(adapter, name, None)]:
        return f"does not set {', '.join(absent)}"
    if not isinstance(adapter.key, str) or not _KEY.fullmatch(adapter.key):
        return "has a key that is not a letter followed by letters, digits or underscores"
    if adapter.key in RESERVED or adapter.key in taken:
        return f"has the key «{adapter.key}», which is taken"
    if unknown := [label for label in adapter.languages if label not in LANGUAGES]:
        return f"offers {', '.join(map(str, unknown))}; known are {', '.join(LANGUAGES)}"
    return ""
