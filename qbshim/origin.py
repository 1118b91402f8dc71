"""Where a request comes from: the client's address, the page that a browser was on, the name it asked for."""

import fnmatch
import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from qbshim.preferences import believed

_DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOPS = 20


def address_of(request: HttpRequest) -> str:
    """The client's address. `X-Forwarded-For` is believed only from a proxy of ANIBRIDGE_TRUSTED_PROXIES.

    Of what it lists the last address counts that is no such proxy: everything before it the client may have made up.
    """
    address = _parsed(str(request.META.get("REMOTE_ADDR", "")))
    said = request.headers.get("X-Forwarded-For", "").split(",")[-MAX_HOPS:]
    while address is not None and _is_trusted(address) and said:
        further = _parsed(said.pop())
        if further is None:
            break
        address = further
    return str(address) if address is not None else ""


def banned_as(address: str) -> str:
    """What is banned with an address: of IPv6 the whole /64, since whoever has one has all of it."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.strip()
    if text.startswith("["):  # [::1]:1234
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 10.0.0.1:1234
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def is_foreign(request: HttpRequest) -> bool:
    """Whether a browser says that another site's page sent this, or that it asked for a name that is not ours."""
    return _is_cross_site(request) or not _is_our_host(request)


def _is_cross_site(request: HttpRequest) -> bool:
    """Clients that are no browser say nothing. Origin counts before Referer.

    X-Forwarded-Host is believed, since a foreign page cannot set it.
    """
    source = request.headers.get("Origin") or request.headers.get("Referer")
    if not source:
        return False
    host = request.headers.get("X-Forwarded-Host", "").split(",")[0].strip()
    host = host or request.get_host()
    try:
        page = urlsplit(source)
        target = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        ours = (target.hostname, target.port or default)
        return page.hostname is None or (page.hostname, page.port or default) != ours
    except ValueError:  # a port that is none, an address with half a bracket
        return True


def _is_our_host(request: HttpRequest) -> bool:
    """qBittorrent's rule, when a client has switched it on: the port must be ours, the name in the list."""
    if not believed.get("web_ui_host_header_validation_enabled"):
        return True
    try:
        host = urlsplit(f"//{request.get_host()}")
        name, port = host.hostname or "", host.port
    except ValueError:
        return False
    if port is not None and str(port) != str(request.META.get("SERVER_PORT", "")):
        return False
    domains = [one.strip().lower() for one in believed.get("web_ui_domain_list").split(";")]
    return name == request.META.get("SERVER_NAME") or any(
        fnmatch.fnmatchcase(name, domain) for domain in domains if domain
    )
