"""The kinds of downloaders: one module each, one line here."""

from collections.abc import Callable

from downloads.downloaders.base import Adapter, Place
from downloads.downloaders.builtin import Builtin
from downloads.downloaders.qbittorrent import QBittorrent
from downloads.downloaders.remote import Remote

ADAPTERS: dict[str, Callable[[Place], Adapter]] = {
    "builtin": Builtin,
    "qbittorrent": QBittorrent,
    "remote": Remote,
}
