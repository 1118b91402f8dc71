"""What one site's flags, keys and labels mean. Sites number differently, so no two share a map."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from bs4.element import Tag

from anibridge.lib.text import shorten
from catalogue.sites.links import path_of
from catalogue.sites.page import value_of

log = logging.getLogger(__name__)

_ICON = re.compile(r"#icon-flag-([\w-]+)$")


@dataclass(frozen=True)
class LanguageWords:
    """One site's words for languages, each exact: `english-german` is not `english`.

    Whatever is not in a map has no language: None, logged once. Nothing is guessed.
    """

    site: str
    flags: Mapping[str, str]
    keys: Mapping[str, str]
    labels: Mapping[str, str]
    """In lower case."""

    def of_flag(self, name: str) -> str | None:
        return self.look_up("flag", self.flags, name.lower())

    def of_key(self, key: str) -> str | None:
        return self.look_up("key", self.keys, key)

    def of_label(self, label: str) -> str | None:
        return self.look_up("label", self.labels, label.casefold())

    def look_up(self, kind: str, words: Mapping[str, str], word: str) -> str | None:
        """What a word means by a map of this kind, such as a page's own one."""
        if word not in words:
            _log_once(f"{self.site}: unknown language {kind} «{shorten(word, 40)}»")
        return words.get(word)


def image_name(flag: Tag) -> str:
    """The file name of a flag's image without its ending; the real one where it is loaded late."""
    source = value_of(flag, "src")
    if source.startswith("data:") or not source:
        source = value_of(flag, "data-src")
    return path_of(source).rpartition("/")[2].partition(".")[0].lower()


def icon_name(icon: Tag) -> str:
    """The flag that an icon shows, by its class, its sprite or its file; empty for any other picture."""
    for name in value_of(icon, "class").lower().split():
        if name.startswith("svg-flag-"):
            return name.removeprefix("svg-flag-")
    use = icon.select_one("use")
    sprite = (value_of(use, "href") or value_of(use, "xlink:href")) if use else ""
    if found := _ICON.search(sprite.lower()):
        return found.group(1)
    file = value_of(icon, "src") + value_of(icon, "data-src")
    return image_name(icon) if "/flags/" in file else ""


@lru_cache(maxsize=256)
def _log_once(message: str) -> None:
    log.warning("%s; its links are left out", message)
