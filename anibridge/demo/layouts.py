"""The layouts that can be served; a new one is one line here."""

from collections.abc import Callable

from anibridge.demo.megakino import Megakino, MegakinoB
from anibridge.demo.model import DemoCatalogue
from anibridge.demo.old_sto import ClassicSto
from anibridge.demo.pages import Classic, Layout
from anibridge.demo.v2 import Newer

LAYOUTS: dict[str, Callable[[DemoCatalogue, int], Layout]] = {
    "demo": Classic,
    "aniworld": Classic,
    "sto": Newer,
    "sto-classic": ClassicSto,
    "megakino": Megakino,
    "megakino-b": MegakinoB,
}
"""What `serve_demo --site` offers; each is built from the catalogue and a number of extra index titles."""
