"""Which addresses an outside URL may lead to: the public internet, and what the operator named."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

from django.conf import settings

from anibridge.lib import watch
from anibridge.lib.errors import Misconfigured
from anibridge.lib.outbound import AddressRefused, InvalidUrl, OutboundError, TimedOut

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_T = TypeVar("_T")

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_CGNAT = IPv4Network("100.64.0.0/10")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def judged(address: Address) -> Address:
    """The address that a packet would really go to: IPv4 embedded in IPv6 is judged as IPv4."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def not_public(address: Address) -> str | None:
    """What kind of address this is when it is none of the public internet; None when it is public."""
    address = judged(address)
    kinds = {
        "loopback": address.is_loopback,
        "unspecified": address.is_unspecified,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "carrier-grade NAT": isinstance(address, IPv4Address) and address in _CGNAT,
        "private": address.is_private or (address.version == 6 and address in _LOCAL_NAT64),
        "site-local": isinstance(address, IPv6Address) and address.is_site_local,
        # The deprecated ::a.b.c.d form and everything else that is not assigned.
        "reserved": address.is_reserved or not address.is_global,
    }
    return next((kind for kind, applies in kinds.items() if applies), None)


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str | None
    network: Network | None
    port: int | None


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The private places that the operator named: `host`, `host:port`, an address, or a network (CIDR).

    A host entry allows whatever that name resolves to; an address or network entry allows that address
    under any name. A port in an entry limits it to that port.
    """

    entries: tuple[_Entry, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "AllowedHosts":
        """Reads the entries; also whole http(s) addresses, of which only host and port count."""
        return cls(tuple(_entry(text.strip()) for text in entries if text.strip()))

    def __add__(self, other: "AllowedHosts") -> "AllowedHosts":
        return AllowedHosts(self.entries + other.entries)

    def permits(self, host: str, port: int, ip: Address | str) -> bool:
        """Whether the operator named this host or this address, for this port."""
        address = _address(ip) if isinstance(ip, str) else ip
        name = _plain(host)
        real = None if address is None else judged(address)
        for entry in self.entries:
            if entry.port is not None and entry.port != port:
                continue
            if entry.host is not None and entry.host == name:
                return True
            if entry.network is not None and real is not None and real in entry.network:
                return True
        return False


def default_allowed() -> AllowedHosts:
    """What OUTBOUND_ALLOWED_PRIVATE_HOSTS says."""
    return AllowedHosts.parse(settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS)


def addresses(
    host: str, port: int, allowed: AllowedHosts, timeout: float
) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host that may be connected to, in the order the resolver gave them.

    Raises AddressRefused when it has none but forbidden ones.
    """
    found = _resolve_bounded(host, port, timeout)
    permitted: list[tuple[socket.AddressFamily, str]] = []
    refused = ""
    for family, text in found:
        address = _address(text)
        kind = "unknown" if address is None else not_public(address)
        if kind is None or (address is not None and allowed.permits(host, port, address)):
            permitted.append((family, text))
        else:
            refused = f"the {kind} address {text}"
    if permitted:
        return permitted
    if not refused:
        raise OutboundError(f"the name {host} cannot be resolved")
    if _address(host) is None:
        problem = f"{host} resolves to {refused}"
    else:
        problem = f"{refused} may not be reached"
    raise AddressRefused(f"{problem}; name it in OUTBOUND_ALLOWED_PRIVATE_HOSTS to allow it")


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Asks the system's resolver. The one place that does, so that tests can answer instead."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [(family, str(where[0])) for family, _, _, _, where in answers]
    return list(dict.fromkeys(found))


def _resolve_bounded(
    host: str, port: int, timeout: float
) -> list[tuple[socket.AddressFamily, str]]:
    literal = _address(host)
    if literal is not None:
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        return [(family, host.strip("[]"))]
    # getaddrinfo knows no timeout and cannot be interrupted: it is left behind in its thread instead.
    answer = _in_thread(lambda: resolve(host, port), timeout)
    if answer is None:
        raise TimedOut(f"the name {host} could not be resolved in time")
    if isinstance(answer, UnicodeError):
        raise InvalidUrl("that is not a valid host name")
    if isinstance(answer, OSError):
        raise OutboundError(f"the name {host} cannot be resolved") from answer
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _in_thread(work: Callable[[], _T], timeout: float) -> _T | Exception | None:
    """The result of `work` or what it raised; None when it was not done in time."""
    answers: list[_T | Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            answers.append(work())
        except Exception as error:  # noqa: BLE001 - handed over to the waiting thread
            answers.append(error)
        done.set()

    threading.Thread(target=run, name="resolve", daemon=True).start()
    until = monotonic() + timeout
    while not done.wait(min(watch.STEP, max(0.0, until - monotonic()))):
        watch.tick()
        if monotonic() >= until:
            return None
    return answers[0]


def _entry(text: str) -> _Entry:
    if "://" in text:
        text = _host_and_port(text)
    try:
        return _Entry(
            host=None, network=ipaddress.ip_network(text.strip("[]"), strict=False), port=None
        )
    except ValueError:
        pass
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = text, ""
    if not host or "/" in host or (port and not port.isdecimal()):
        raise Misconfigured(f"«{text}» is not a host, host:port or network such as 10.0.0.0/8")
    address = _address(host)
    return _Entry(
        host=_plain(host) if address is None else None,
        network=None if address is None else ipaddress.ip_network(address),
        port=int(port) if port else None,
    )


def _host_and_port(url: str) -> str:
    parts = urlsplit(url)
    try:
        port = parts.port or _DEFAULT_PORTS[parts.scheme.lower()]
    except (ValueError, KeyError):
        raise Misconfigured("a trusted address must begin with http:// or https://") from None
    host = parts.hostname or ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
