"""How gunicorn serves AniBridge: its configuration file, `--config python:anibridge.webserver`.

Address and number of processes come from the settings (`anibridge.processes`).
"""

import socket
from typing import Any, Final

UNSENT: Final = 256 * 1024
"""Bytes of an answer that wait in the kernel beyond what is on its way to the client.

Without a bound Linux takes up to 4 MiB for each player that has enough for now. Some hundreds of them use up what the machine
has for all its connections (`net.ipv4.tcp_mem`); then it drops what arrives, and streams falter. What is on its way is not
bounded by this, so a long line is used as before.
"""

worker_class = "asgi"
control_socket_disable = True
graceful_timeout = 3
timeout = 60
keepalive = 75
# Links of the playback proxy hold an address of its host, sealed: the usual 4,094 are too few.
limit_request_line = 8190


def when_ready(server: Any) -> None:
    """Once the sockets listen; what they accept has their options."""
    for listener in server.LISTENERS:
        bound_unsent(listener.sock)


def bound_unsent(sock: socket.socket) -> None:
    """Keeps the kernel from taking more of an answer than it can send soon. Where it cannot be told that, it does."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, UNSENT)
