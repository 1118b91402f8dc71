"""AniBridge's own application, with a source that asks the host of the tests where a title is."""

import json
import os
from collections.abc import Collection

from anibridge.asgi import application
from anibridge.lib import http
from catalogue.errors import NoStream
from catalogue.releases import Identity
from strm.models import StreamKind
from strm.sources import SOURCES, Found


def find(identity: Identity, provider: str, gone: Collection[str]) -> Found:
    answer = http.fetch(f"{os.environ['TEST_SOURCE_URL']}/where/{identity.slug}")
    if not answer.ok:
        raise NoStream("the host of the tests does not have it")
    said = json.loads(answer.text)
    return Found(said["url"], "Test", StreamKind(said["kind"]), said.get("headers", {}))


SOURCES["link"] = find

__all__ = ["application"]
