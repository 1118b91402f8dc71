import contextlib
import gzip
import socket
import threading
import zlib

import pytest

from anibridge.lib import guard, http
from anibridge.lib.errors import Cancelled
from anibridge.lib.http import AllowedHosts
from tests.anibridge.lib import servers

pytestmark = pytest.mark.usefixtures("allowed")


def test_a_page_of_an_allowed_host_is_fetched(server):
    server.serve("/a", "für".encode(), "text/html")
    answer = http.fetch(server.url("/a?x=1"), headers={"X-Mine": "yes"})
    assert (answer.status, answer.text, answer.url) == (200, "für", server.url("/a?x=1"))
    assert answer.headers["content-type"] == "text/html"
    asked = server.asked[0][1]
    assert asked["user-agent"].startswith("AniBridge/")
    assert asked["accept-encoding"] == "gzip, deflate"
    assert asked["x-mine"] == "yes"


def test_any_status_is_an_answer(server):
    answer = http.fetch(server.url("/nowhere"))
    assert (answer.status, answer.ok) == (404, False)


def test_a_user_agent_can_be_given(server):
    server.serve("/", b"")
    http.fetch(server.url(), headers={"User-Agent": "Other/1"})
    assert server.asked[0][1]["user-agent"] == "Other/1"


def test_a_body_can_be_posted(server):
    server.serve("/form", b"ok")
    assert http.fetch(server.url("/form"), method="POST", data={"a": "b"}).body == b"ok"


def test_private_addresses_are_refused_by_default(server, settings):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    with pytest.raises(http.AddressRefused, match="loopback") as refused:
        http.fetch(server.url())
    assert not refused.value.retryable
    assert server.asked == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
def test_other_spellings_of_this_machine_are_refused_too(server, settings, host):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    with pytest.raises(http.AddressRefused):
        http.fetch(f"http://{host}:{server.port}/")
    assert server.asked == []


def test_an_ipv4_mapped_address_of_an_allowed_host_is_that_host(server, monkeypatch):
    server.serve("/", b"ok")
    real = socket.socket.connect
    # The suite's own guard against leaving this machine does not know this form.
    monkeypatch.setattr(
        socket.socket, "connect", lambda self, place: real(self, ("127.0.0.1", place[1]))
    )
    monkeypatch.setattr(guard, "resolve", lambda host, port: [(socket.AF_INET, "::ffff:127.0.0.1")])
    assert http.fetch(f"http://mapped.test:{server.port}/").body == b"ok"


def test_a_network_can_be_allowed(server, settings):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = ["127.0.0.0/8"]
    server.serve("/", b"ok")
    assert http.fetch(server.url()).body == b"ok"


def test_a_trusted_address_may_be_private_and_nothing_beside_it(server, other_server, settings):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    server.redirect("/", other_server.url())
    with http.session(trusted=[server.url("/api")]) as session:
        assert http.fetch(server.url(), session=session, follow=False).status == 302
        with pytest.raises(http.AddressRefused):
            http.fetch(server.url(), session=session)
    assert other_server.asked == []


def test_a_redirect_to_a_private_address_is_refused(server, other_server):
    server.redirect("/", other_server.url("/secret"))
    with pytest.raises(http.AddressRefused):
        http.fetch(server.url())
    assert other_server.asked == []


def test_the_checked_address_is_the_one_connected_to(server, monkeypatch):
    """A name that turns private after the check: there is no second look at it."""
    server.serve("/", b"ok")
    answers = iter(["127.0.0.1", "127.0.0.2"])
    asked: list[str] = []

    def rebinding(host, port, *args, **kwargs):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert http.fetch(f"http://rebind.test:{server.port}/").body == b"ok"
    assert asked == ["rebind.test"]
    with pytest.raises(http.AddressRefused, match=r"127.0.0.2"):
        http.fetch(f"http://rebind.test:{server.port}/")
    assert len(server.asked) == 1


def test_every_hop_resolves_anew(server, monkeypatch):
    answers = iter(["127.0.0.1", "10.0.0.1"])
    monkeypatch.setattr(guard, "resolve", lambda host, port: [(socket.AF_INET, next(answers))])
    server.redirect("/", f"http://second.test:{server.port}/x")
    with pytest.raises(http.AddressRefused, match=r"second.test resolves to .* 10.0.0.1"):
        http.fetch(f"http://first.test:{server.port}/")


def test_the_next_address_is_tried_when_the_first_does_not_answer(server, monkeypatch):
    server.serve("/", b"ok")
    found = [(socket.AF_INET, "127.0.0.9"), (socket.AF_INET, "127.0.0.1")]
    monkeypatch.setattr(guard, "resolve", lambda host, port: found)
    with http.session(allowed=AllowedHosts.parse(["two.test"])) as session:
        assert http.fetch(f"http://two.test:{server.port}/", session=session).body == b"ok"


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "gopher://x/", "x", ""])
def test_other_schemes_are_refused(url):
    with pytest.raises(http.UnsupportedScheme):
        http.fetch(url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd"])
def test_other_schemes_are_refused_behind_a_redirect(server, url):
    server.redirect("/", url)
    with pytest.raises(http.UnsupportedScheme):
        http.fetch(server.url())


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a b/", "http://x:99999/"])
def test_what_is_no_address_is_named(url):
    with pytest.raises(http.OutboundError) as raised:
        http.fetch(url)
    assert not raised.value.retryable


def test_the_environment_names_no_proxy(server, monkeypatch):
    server.serve("/", b"ok")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert http.fetch(server.url()).body == b"ok"


def test_redirects_are_followed_to_the_last_address(server):
    server.redirect("/1", "/2")
    server.redirect("/2", server.url("/3"), 301)
    server.serve("/3", b"there")
    answer = http.fetch(server.url("/1"))
    assert (answer.url, answer.body) == (server.url("/3"), b"there")


def test_an_unfollowed_redirect_is_given_as_it_is(server):
    server.redirect("/1", "http://10.0.0.1/")
    answer = http.fetch(server.url("/1"), follow=False)
    assert (answer.status, answer.headers["location"]) == (302, "http://10.0.0.1/")


def test_redirects_in_circles_end(server):
    server.redirect("/1", "/2")
    server.redirect("/2", "/1")
    with pytest.raises(http.TooManyRedirects):
        http.fetch(server.url("/1"))
    assert len(server.asked) == 11


def test_an_endless_redirect_body_is_not_read(server):
    def route(handler: servers.Handler) -> None:
        handler.close_connection = True
        handler.send_response(302)
        handler.send_header("Location", "/next")
        handler.end_headers()
        for _ in range(100_000):
            handler.wfile.write(b"x" * 65536)

    server.routes["/"] = route
    server.serve("/next", b"ok")
    assert http.fetch(server.url()).body == b"ok"


def test_keys_stay_behind_when_a_redirect_leaves_the_host(server, other_server, settings):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = ["127.0.0.1", "localhost"]
    server.redirect("/", f"http://localhost:{other_server.port}/")
    other_server.serve("/", b"ok")
    secrets = {"Authorization": "Bearer x", "X-Api-Key": "x", "Cookie": "a=b", "X-Auth-Token": "x"}
    http.fetch(server.url(), headers={**secrets, "Referer": "r"})
    assert {"authorization", "x-api-key", "cookie", "x-auth-token"} <= set(server.asked[0][1])
    there = other_server.asked[0][1]
    assert there["referer"] == "r"
    assert not {"authorization", "x-api-key", "cookie", "x-auth-token"} & set(there)


def test_a_body_that_is_too_long_is_given_up(server):
    server.serve("/announced", b"x" * 2000)
    server.routes["/endless"] = servers.endless(b"x" * 1000)
    for path in ("/announced", "/endless"):
        with pytest.raises(http.TooLarge):
            http.fetch(server.url(path), max_bytes=1500)
    assert http.fetch(server.url("/announced"), method="HEAD", max_bytes=10).status == 200


def test_a_compressed_body_is_unpacked_and_a_bomb_stops_at_the_limit(server):
    small, bomb = gzip.compress(b"hello"), gzip.compress(bytes(50_000_000))
    for path, body in (("/small", small), ("/bomb", bomb)):
        server.routes[path] = (200, {"Content-Encoding": "gzip"}, body)
    server.routes["/deflate"] = (200, {"Content-Encoding": "deflate"}, zlib.compress(b"hello"))
    assert http.fetch(server.url("/small")).body == b"hello"
    assert http.fetch(server.url("/deflate")).body == b"hello"
    with pytest.raises(http.TooLarge):
        http.fetch(server.url("/bomb"), max_bytes=100_000)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_an_encoding_that_nobody_asked_for_is_an_error(server, encoding):
    server.routes["/"] = (200, {"Content-Encoding": encoding}, b"\x8b\x02\x80")
    with pytest.raises(http.OutboundError):
        http.fetch(server.url())


def test_a_damaged_body_is_an_error(server):
    server.routes["/gzip"] = (200, {"Content-Encoding": "gzip"}, b"no gzip at all")
    server.routes["/short"] = (200, {"Content-Length": "100"}, b"short")

    def cut(handler: servers.Handler) -> None:
        handler.close_connection = True
        handler.answer(200, {"Content-Length": "100"}, b"short")

    server.routes["/short"] = cut
    for path in ("/gzip", "/short"):
        with pytest.raises(http.OutboundError):
            http.fetch(server.url(path))


def test_messages_name_the_host_and_no_query(server):
    server.routes["/"] = (200, {"Content-Encoding": "gzip"}, b"no gzip at all")
    with pytest.raises(http.OutboundError) as raised:
        http.fetch(server.url("/?token=secret"))
    assert "127.0.0.1" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_closed_port_may_open_again():
    with (
        servers.closed_port() as port,
        http.session(allowed=AllowedHosts.parse([f"127.0.0.1:{port}"])) as session,
    ):
        with pytest.raises(http.OutboundError, match="refused") as raised:
            http.fetch(f"http://127.0.0.1:{port}/", session=session)
        assert type(raised.value) is http.OutboundError
        assert raised.value.retryable


@pytest.mark.timeout(20)
def test_a_silent_server_times_out(server):
    left = threading.Event()
    server.routes["/"] = servers.stalling(b"some", {"Content-Length": "100"}, left)
    with pytest.raises(http.TimedOut), http.stream(server.url(), timeout=0.2) as answer:
        list(answer.iter_bytes())
    assert left.wait(5)


@pytest.mark.timeout(20)
def test_a_lively_but_endless_answer_meets_the_deadline(server):
    server.routes["/"] = servers.endless(b"x", every=0.02)
    with pytest.raises(http.TimedOut, match="longer than"):
        http.fetch(server.url(), timeout=0.3)


@pytest.mark.timeout(20)
def test_a_deadline_holds_for_several_requests(server):
    server.serve("/", b"ok")

    def again_and_again() -> None:
        with http.deadline(0.3), http.session() as session:
            while True:
                http.fetch(server.url(), session=session)

    with pytest.raises(http.TimedOut):
        again_and_again()
    assert len(server.asked) > 1


@pytest.mark.timeout(15)
@pytest.mark.parametrize("kind", [Cancelled, TimeoutError, ConnectionError])
def test_a_cancel_is_seen_on_a_stalled_socket_and_comes_through_unchanged(server, kind):
    left = threading.Event()
    server.routes["/"] = servers.stalling(b"some", {"Content-Length": "100"}, left)
    mine = kind("called off")

    def check() -> None:
        if server.asked:
            raise mine

    with pytest.raises(kind) as raised, http.cancellation(check):
        http.fetch(server.url())
    assert raised.value is mine
    assert left.wait(5)


@pytest.mark.timeout(15)
def test_a_cancel_is_seen_before_the_headers_arrive(server):
    never = threading.Event()
    server.routes["/"] = lambda handler: never.wait(10)

    def check() -> None:
        if server.asked:
            raise Cancelled("called off")

    with pytest.raises(Cancelled), http.cancellation(check):
        http.fetch(server.url())
    never.set()


@pytest.mark.timeout(15)
def test_a_cancel_is_seen_while_data_flows(server):
    server.routes["/"] = servers.endless(b"x" * 4096, every=0.01)

    def check() -> None:
        if server.asked:
            raise Cancelled("called off")

    with pytest.raises(Cancelled), http.cancellation(check), http.stream(server.url()) as answer:
        for _ in answer.iter_bytes():
            pass


def test_a_cancel_cannot_be_swallowed(server):
    server.serve("/", b"ok")

    def check() -> None:
        raise Cancelled("called off")

    with pytest.raises(Cancelled), http.cancellation(check), contextlib.suppress(Cancelled):
        http.fetch(server.url())


def test_a_stream_is_read_in_blocks_and_let_go(server):
    server.serve("/", b"x" * 100_000, "video/mp4")
    with http.stream(server.url()) as answer:
        assert (answer.status, answer.length) == (200, 100_000)
        assert answer.headers["content-type"] == "video/mp4"
        blocks = list(answer.iter_bytes(4096))
    assert max(map(len, blocks)) <= 4096
    assert sum(map(len, blocks)) == 100_000
    with http.stream(server.url()) as answer:
        next(answer.iter_bytes(10))


def test_connections_are_kept_for_the_next_request(server):
    peers: list[int] = []

    def route(handler: servers.Handler) -> None:
        peers.append(handler.client_address[1])
        handler.answer(200, {}, b"ok")

    server.routes["/"] = route
    with http.session() as session:
        for _ in range(3):
            http.fetch(server.url(), session=session)
    assert len(set(peers)) == 1


def test_a_throttle_paces_without_hiding_a_cancel():
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Cancelled("called off")

    with pytest.raises(Cancelled), http.cancellation(check):
        http.Throttle(10).passed(1_000_000)
    http.Throttle(None).passed(10**9)
