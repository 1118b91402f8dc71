"""The network interfaces of this machine, as clients offer them to choose from. Nothing here depends on the choice."""

import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of an interface."""


def interfaces() -> list[str]:
    """Their names."""
    try:
        return [name for _, name in socket.if_nameindex()]
    except OSError:
        return []


def addresses(interface: str) -> list[str]:
    """The IPv4 address of one, or of all for an empty name; none for an unknown one."""
    names = [name for name in interfaces() if interface in ("", name)]
    return [address for name in names if (address := _address(name))]


def _address(name: str) -> str:
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket.fileno(), _SIOCGIFADDR, request)
        except OSError:  # it has none
            return ""
    return socket.inet_ntoa(answer[20:24])
