import ipaddress
import socket

import pytest

from anibridge.lib import guard
from anibridge.lib.errors import Misconfigured
from anibridge.lib.guard import AllowedHosts
from anibridge.lib.outbound import AddressRefused, InvalidUrl, OutboundError, TimedOut

NOBODY = AllowedHosts()


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.0.1", "private"),
        ("192.168.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("255.255.255.255", "private"),
        ("240.0.0.1", "private"),
        ("198.18.0.1", "private"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd00::1", "private"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:c0a8:1::1", "private"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "private"),
        ("2001:0:7f00:1::", "private"),
    ],
)
def test_an_address_that_is_not_public_is_refused_by_its_kind(address, kind):
    assert guard.not_public(ipaddress.ip_address(address.partition("%")[0])) == kind
    with pytest.raises(AddressRefused, match="OUTBOUND_ALLOWED_PRIVATE_HOSTS"):
        guard.addresses(address, 80, NOBODY, 1.0)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_fine(address):
    assert guard.not_public(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "ip", "permitted"),
    [
        ("nas.lan", "nas.lan", 80, "192.168.0.9", True),
        ("nas.lan", "NAS.lan.", 8080, "192.168.0.9", True),
        ("nas.lan", "evil.nas.lan", 80, "192.168.0.9", False),
        ("nas.lan:80", "nas.lan", 81, "192.168.0.9", False),
        ("192.168.0.0/24", "anything", 80, "192.168.0.9", True),
        ("192.168.0.0/24", "anything", 80, "192.168.1.9", False),
        ("192.168.0.0/24", "anything", 80, "::ffff:192.168.0.9", True),
        ("192.168.0.9:80", "anything", 80, "192.168.0.9", True),
        ("192.168.0.9:80", "anything", 22, "192.168.0.9", False),
        ("[::1]:80", "::1", 80, "::1", True),
        ("[::1]:80", "::1", 81, "::1", False),
        ("::1", "localhost", 81, "::1", True),
        ("fd00::/8", "anything", 1, "fd12::1", True),
        ("http://nas.lan/path?x", "nas.lan", 80, "10.0.0.1", True),
        ("https://nas.lan", "nas.lan", 80, "10.0.0.1", False),
        ("https://nas.lan", "nas.lan", 443, "10.0.0.1", True),
    ],
)
def test_an_entry_permits_what_it_names_and_nothing_else(entry, host, port, ip, permitted):
    assert AllowedHosts.parse([entry]).permits(host, port, ip) is permitted


@pytest.mark.parametrize("entry", ["a/b", "host:port", "ftp://host", ":80", "10.0.0.0/99"])
def test_an_entry_that_means_nothing_is_named(entry):
    with pytest.raises(Misconfigured):
        AllowedHosts.parse([entry])


def test_empty_entries_are_nothing():
    assert AllowedHosts.parse(["", "  "]) == NOBODY


def answering(monkeypatch, *addresses):
    answers = [
        (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80))
        for one in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)


def test_a_name_with_private_addresses_only_is_refused_with_the_address(monkeypatch):
    answering(monkeypatch, "10.0.0.7")
    with pytest.raises(AddressRefused, match=r"evil.test resolves to the private address 10.0.0.7"):
        guard.addresses("evil.test", 80, NOBODY, 1.0)


def test_forbidden_addresses_are_dropped_and_the_others_stay(monkeypatch):
    answering(monkeypatch, "10.0.0.7", "8.8.8.8", "::1", "8.8.8.8")
    assert guard.addresses("mixed.test", 80, NOBODY, 1.0) == [(socket.AF_INET, "8.8.8.8")]


def test_a_name_that_does_not_resolve_may_do_so_later(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OutboundError, match="cannot be resolved") as raised:
        guard.addresses("nowhere.test", 80, NOBODY, 1.0)
    assert raised.value.retryable


def test_a_resolver_that_hangs_is_left_behind(monkeypatch):
    import threading

    never = threading.Event()
    monkeypatch.setattr(guard, "resolve", lambda host, port: never.wait(20))
    with pytest.raises(TimedOut):
        guard.addresses("slow.test", 80, NOBODY, 0.05)
    never.set()


def test_a_host_name_with_an_impossible_label_is_no_address():
    with pytest.raises(InvalidUrl):
        guard.addresses("a" * 80 + ".test", 80, NOBODY, 5.0)
