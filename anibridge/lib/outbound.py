"""What can go wrong on the way to another machine, in words that name a host and never a query string."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from urllib.parse import urlsplit

import requests.exceptions
import urllib3.exceptions

from anibridge.lib import watch
from anibridge.lib.errors import AniBridgeError, error_chain
from anibridge.lib.text import shorten


class OutboundError(AniBridgeError):
    """The other side could not be reached, or did not answer properly; later it may."""

    retryable = True


class TimedOut(OutboundError):
    """The other side was silent for too long, or the whole transfer took too long."""


class AddressRefused(OutboundError):
    """The name leads to an address that outside URLs may not reach."""

    retryable = False


class UnsupportedScheme(OutboundError):
    """Only http and https are fetched."""

    retryable = False


class InvalidUrl(OutboundError):
    """This is not the address of anything."""

    retryable = False


class TooManyRedirects(OutboundError):
    """The other side sends its visitors round in circles."""

    retryable = False


class TooLarge(OutboundError):
    """The answer is larger than the caller is ready to read."""

    retryable = False


class UnexpectedAnswer(OutboundError):
    """The other side answered, but not with what was asked for; `status` is what it said."""

    def __init__(self, message: str, *, status: int, retryable: bool) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


@contextmanager
def deadline(seconds: float, what: str = "the transfer") -> Iterator[None]:
    """Within the context, transfers stop with TimedOut once this much time has passed, however lively."""
    until = monotonic() + seconds

    def check() -> None:
        if monotonic() >= until:
            raise TimedOut(f"{what} took longer than {seconds:g} s")

    with watch.cancellation(check, every=0.0):
        yield


def host_of(url: str) -> str:
    """The host of an address, for messages: paths and queries may carry tokens."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return shorten(host, 100) if host else "that address"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns what requests, urllib3 and sockets raise inside into the errors of this module.

    What the surrounding `cancellation` raised goes through as the very same exception, even where a library
    had wrapped it; so does everything that is not about the network.
    """
    try:
        yield
    except AniBridgeError:
        raise
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        UnicodeError,
    ) as error:
        stopped = watch.stopped()
        if stopped is not None:
            raise stopped from None
        raise typed(error, url) from error


def typed(error: BaseException, url: str) -> OutboundError:
    """The error of this module that says what `error` means for somebody who asked for `url`."""
    host = host_of(url)
    chain = list(error_chain(error))

    def seen(*kinds: type[BaseException]) -> BaseException | None:
        return next((one for one in chain if isinstance(one, kinds)), None)

    own = seen(OutboundError)
    if isinstance(own, OutboundError):
        return own
    if seen(requests.exceptions.TooManyRedirects):
        return TooManyRedirects(f"{host} redirects in circles")
    if seen(requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
        return UnsupportedScheme("only http and https addresses can be fetched")
    if seen(ssl.SSLCertVerificationError):
        return OutboundError(f"{host} does not show a valid TLS certificate")
    # Before the timeouts, since urllib3 makes every failure to connect one of those.
    if seen(urllib3.exceptions.NewConnectionError):
        return OutboundError(f"{host} cannot be reached{_reason(chain)}")
    if seen(TimeoutError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout):
        return TimedOut(f"{host} did not answer in time")
    if seen(ssl.SSLError, urllib3.exceptions.SSLError):
        return OutboundError(f"no TLS connection to {host} can be made")
    if seen(urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError):
        return OutboundError(f"{host} sent an answer that cannot be decompressed")
    if seen(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.LocationParseError,
        http.client.InvalidURL,
        UnicodeError,
    ):
        return InvalidUrl("that is not a valid address")
    return OutboundError(f"{host} broke the connection off")


def _reason(chain: list[BaseException]) -> str:
    """What the operating system said, without the repr of a connection around it."""
    said = next((one.strerror for one in chain if isinstance(one, OSError) and one.strerror), "")
    return f": {shorten(said, 80)}" if said else ""
