"""What every endpoint has in common: who may call it, how its parameters are read, how its answer is written.

Answers are never HTML and never depend on `Accept`: clients compare bare texts, and one of them asks for JSON and
compares with `Ok.` all the same.
"""

import functools
import logging
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict

from anibridge.lib import turns
from qbshim import auth, origin
from qbshim.auth import Client
from qbshim.errors import (
    TEXT,
    CrossSite,
    NotSignedIn,
    ParameterMissing,
    Refused,
    WrongMethod,
    error_response,
)
from qbshim.rendering import encode

logger = logging.getLogger(__name__)

JSON = "application/json"
READ = frozenset({"GET", "HEAD", "POST"})
"""Reading answers POST as well: some clients send nothing else."""
COMMAND = frozenset({"POST"})

Answer = HttpResponse | str | dict[str, Any] | list[Any] | None
Endpoint = Callable[[HttpRequest, "Params"], Answer]
View = Callable[..., HttpResponse]
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,10}\s*")


class Params:
    """The parameters of a request: of the body for POST, else of the query. Unknown ones are ignored."""

    def __init__(self, values: QueryDict, client: Client | None = None) -> None:
        self._values = values
        self._client = client

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def client(self) -> Client:
        """Who asks. Raises NotSignedIn for nobody, which only public endpoints meet."""
        if self._client is None:
            raise NotSignedIn("nobody")
        return self._client

    @property
    def is_signed_in(self) -> bool:
        """Whether a session of the client's own came with the request."""
        return self._client is not None and self._client.session is not None

    def require(self, *names: str) -> None:
        """Raises ParameterMissing unless each was sent; an empty value counts as sent."""
        if not all(name in self._values for name in names):
            raise ParameterMissing(f"needs {', '.join(names)}")

    def text(self, name: str) -> str:
        """The value, empty when it was not sent. No NUL, which PostgreSQL cannot store."""
        return str(self._values.get(name, "")).replace("\x00", "")

    def integer(self, name: str) -> int | None:
        """The value as a whole number of 32 bits; None for anything else."""
        text = self.text(name)
        number = int(text) if _INTEGER.fullmatch(text) else None
        return number if number is not None and -(2**31) <= number < 2**31 else None

    def number(self, name: str) -> int:
        """The value as a whole number; 0 for anything else, as qBittorrent has it."""
        return self.integer(name) or 0

    def flag(self, *names: str, default: bool = False) -> bool:
        """Whether one of these is switched on. Sonarr writes `True`, others `true`; what is neither is the default."""
        values = [self.switch(name) for name in names]
        return True in values or (default and False not in values)

    def switch(self, name: str) -> bool | None:
        """On or off; None for what was not sent, or is neither."""
        return _FLAGS.get(self.text(name).strip().lower())

    def listed(self, name: str, separator: str) -> list[str]:
        """The parts of a value, trimmed, without empty ones, each once."""
        parts = (part.strip() for part in self.text(name).split(separator))
        return list(dict.fromkeys(part for part in parts if part))

    def hashes(self, name: str = "hashes") -> list[str] | None:
        """The jobs that a command is for, in lower case; None for `all`. Raises ParameterMissing."""
        self.require(name)
        if self.text(name) == "all":
            return None
        return [part.lower()[:64] for part in self.listed(name, "|")]


_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def endpoint(methods: frozenset[str], *, public: bool = False) -> Callable[[Endpoint], View]:
    """Make a view of a function that returns a text, something for JSON, nothing, or a whole response.

    Closed unless `public`: the order of the checks is qBittorrent's, so a stranger learns nothing from 404 or 405.
    """

    def decorate(function: Endpoint) -> View:
        @functools.wraps(function)
        def view(request: HttpRequest, **_: str) -> HttpResponse:
            try:
                # A command may wait for a disk or a lock; nobody's reading waits for that.
                with nullcontext() if methods is COMMAND else turns.turn():
                    return answered(request)
            except Exception as error:
                response = error_response(error)
                if response is None:
                    raise
                if isinstance(error, Refused):
                    logger.info("nothing added: %s", error)
                return response

        def answered(request: HttpRequest) -> HttpResponse:
            if origin.is_foreign(request):
                raise CrossSite(request.path)
            client = auth.identify(request)
            if client is None and not public:
                raise NotSignedIn(request.path)
            if request.method not in methods:
                raise WrongMethod(request.path)
            values = request.POST if request.method == "POST" else request.GET
            return _response(function(request, Params(values, client)))

        # Clients have no token; `origin.is_foreign` is the protection here.
        view.csrf_exempt = True  # type: ignore[attr-defined]
        view.methods = methods  # type: ignore[attr-defined]
        return view

    return decorate


def _response(answer: Answer) -> HttpResponse:
    if isinstance(answer, HttpResponse):
        return answer
    if answer is None or isinstance(answer, str):
        return HttpResponse(answer or "", content_type=TEXT)
    return HttpResponse(encode(answer), content_type=JSON)
