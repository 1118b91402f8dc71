"""The root of every expected failure. What is not an AniBridgeError is a bug and may be a 500."""

from collections.abc import Iterator


class AniBridgeError(Exception):
    """Something expected went wrong; `str(error)` is a sentence that a person can act on.

    `retryable` says whether the same attempt may succeed later without anybody changing anything.
    """

    retryable = False


class Misconfigured(AniBridgeError):
    """The operator has to change a setting before this can work."""


class Cancelled(AniBridgeError):
    """The work was called off while it ran: its owner lost it, or somebody cancelled it."""


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it wraps and what it came from, each once.

    The libraries hide it in many places: causes and contexts, arguments, and attributes of their own.
    """
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        raised = getattr(one, "exc_info", None)
        inner = [
            *one.args,
            *(getattr(one, name, None) for name in ("reason", "cause")),
            *(raised if isinstance(raised, tuple) else ()),
            one.__cause__,
            one.__context__,
        ]
        todo.extend(thing for thing in inner if isinstance(thing, BaseException))
