"""A player that has enough for now, behind the real web server: nobody keeps its film in memory, the kernel neither."""

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from anibridge.webserver import UNSENT, bound_unsent
from strm.upstream import WINDOW
from tests.strm import host as hosts
from tests.strm import server as servers
from tests.strm.host import Host
from tests.strm.server import Server

MIB = 2**20
PLAYED = 48 * MIB
LENGTH = 512 * MIB


class Counted:
    """A film that comes as fast as it is taken, and how much of it was given to the kernel."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.content_length = LENGTH
        await response.prepare(request)
        block = b"\0\0\0\x20ftypisom" + bytes(256 * 1024 - 12)
        while self.sent < LENGTH:
            await response.write(block)
            self.sent += len(block)
        return response

    def settled(self) -> int:
        """What was sent once no more is."""
        before = -1
        while before != self.sent:
            before = self.sent
            time.sleep(0.5)
        return before


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosts.running() as running:
        yield running


@pytest.fixture(scope="module")
def server(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    servers.offer(host, "film", {"url": host.at("/film.mp4"), "kind": "file"})
    with servers.running(tmp_path_factory.mktemp("paused"), host, workers=1) as running:
        yield running


def test_of_a_film_that_is_paused_little_is_on_its_way(server: Server, host: Host):
    film = host.routes["/film.mp4"] = Counted()
    link = urlsplit(server.link("film"))
    with socket.socket() as player:
        player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        player.connect((link.hostname, link.port))
        player.sendall(f"GET {link.path}?{link.query} HTTP/1.1\r\nHost: player\r\n\r\n".encode())
        taken = 0
        while taken < PLAYED:
            block = player.recv(MIB)
            assert block, (server.data / "web.log").read_text()
            taken += len(block)
        underway = film.settled() - taken
    # The host's own buffer and the player's, one block in each hand, and what ours may hold.
    assert 0 < underway < 2 * MIB + MIB + WINDOW + UNSENT


def test_what_a_listening_socket_accepts_keeps_little_unsent():
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is None:
        pytest.skip("this system cannot bound what waits unsent")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bound_unsent(listening)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, option) == UNSENT


def test_a_socket_of_another_family_is_left_as_it_is():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        bound_unsent(ours)
        ours.sendall(b"heard")
        assert theirs.recv(5) == b"heard"
