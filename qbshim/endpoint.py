"""What every endpoint has in common: who may call it, how its parameters are read, how its answer is written.

Answers are never HTML and never depend on `Accept`: clients compare bare texts, and one of them asks for JSON and
compares with `Ok.` all the same.
"""

import functools
import json
import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict

from qbshim import auth
from qbshim.errors import (
    TEXT,
    CrossSite,
    NotSignedIn,
    ParameterMissing,
    Refused,
    WrongMethod,
    error_response,
)

logger = logging.getLogger(__name__)

READ = frozenset({"GET", "HEAD", "POST"})
"""Reading answers POST as well: some clients send nothing else."""
COMMAND = frozenset({"POST"})

Answer = HttpResponse | str | dict[str, Any] | list[Any] | None
Endpoint = Callable[[HttpRequest, "Params"], Answer]
View = Callable[..., HttpResponse]


class Params:
    """The parameters of a request: of the body for POST, else of the query. Unknown ones are ignored."""

    def __init__(self, values: QueryDict) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def require(self, *names: str) -> None:
        """Raises ParameterMissing unless each was sent; an empty value counts as sent."""
        if not all(name in self._values for name in names):
            raise ParameterMissing(f"needs {', '.join(names)}")

    def text(self, name: str) -> str:
        """The value, empty when it was not sent. No NUL, which PostgreSQL cannot store."""
        return str(self._values.get(name, "")).replace("\x00", "")

    def number(self, name: str) -> int:
        """The value as a whole number; 0 for anything else, as qBittorrent has it."""
        try:
            return int(self.text(name))
        except ValueError:
            return 0

    def flag(self, *names: str) -> bool:
        """Whether one of these is switched on. Sonarr writes `True`, others `true`."""
        return any(self.text(name).strip().lower() in {"true", "1", "yes"} for name in names)

    def listed(self, name: str, separator: str) -> list[str]:
        """The parts of a value, trimmed, without empty ones, each once."""
        parts = (part.strip() for part in self.text(name).split(separator))
        return list(dict.fromkeys(part for part in parts if part))

    def hashes(self) -> list[str] | None:
        """The jobs that a command is for, in lower case; None for `all`. Raises ParameterMissing."""
        self.require("hashes")
        if self.text("hashes") == "all":
            return None
        return [part.lower() for part in self.listed("hashes", "|")]


def endpoint(methods: frozenset[str], *, public: bool = False) -> Callable[[Endpoint], View]:
    """Make a view of a function that returns a text, something for JSON, nothing, or a whole response.

    Closed unless `public`: the order of the checks is qBittorrent's, so a stranger learns nothing from 404 or 405.
    """

    def decorate(function: Endpoint) -> View:
        @functools.wraps(function)
        def view(request: HttpRequest, **_: str) -> HttpResponse:
            try:
                if auth.is_cross_site(request):
                    raise CrossSite(request.path)
                if not public and not auth.is_open_to(request):
                    raise NotSignedIn(request.path)
                if request.method not in methods:
                    raise WrongMethod(request.path)
                params = Params(request.POST if request.method == "POST" else request.GET)
                return _response(function(request, params))
            except Exception as error:
                response = error_response(error)
                if response is None:
                    raise
                if isinstance(error, Refused):
                    logger.info("nothing added: %s", error)
                return response

        # Clients have no token; `auth.is_cross_site` is the protection here.
        view.csrf_exempt = True  # type: ignore[attr-defined]
        return view

    return decorate


def _response(answer: Answer) -> HttpResponse:
    if isinstance(answer, HttpResponse):
        return answer
    if answer is None or isinstance(answer, str):
        return HttpResponse(answer or "", content_type=TEXT)
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return HttpResponse(body, content_type="application/json")
