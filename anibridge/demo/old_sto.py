"""The demo's pages as s.to had them before: the classic layout in s.to's words."""

import re
from collections.abc import Mapping
from dataclasses import replace

from anibridge.demo.model import DemoCatalogue
from anibridge.demo.pages import Classic, Reply, document
from anibridge.demo.v2 import LANGUAGES

# The two sites' classic pages differ in these words and nothing else: paths, flags, and the key of English.
_WORDS = {
    "/anime/stream/": "/serie/stream/",
    "/animes": "/serien",
    "Animes": "Serien",
    "japanese-german": "english-german",
    'data-lang-key="4"': 'data-lang-key="2"',
}
_ANY = re.compile("|".join(map(re.escape, _WORDS)))


class ClassicSto:
    """The old s.to over a catalogue that speaks its languages; `extra` titles stand in the index only."""

    def __init__(self, catalogue: DemoCatalogue, extra: int = 0) -> None:
        self._classic = Classic(catalogue.speaking(tuple(LANGUAGES)), extra)

    def respond(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        if path.startswith("/anime"):
            return Reply(document("Seite nicht gefunden", "<h1>404</h1>"), status=404)
        path = re.sub(r"^/serie(?=/stream/)", "/anime", path)
        path = re.sub(r"^/serien(?=-alphabet$|$)", "/animes", path)
        reply = self._classic.respond(method, path, query)
        return replace(reply, body=_ANY.sub(lambda found: _WORDS[found.group()], reply.body))
