import io

import pytest

from anibridge.lib import http, media
from anibridge.lib.errors import Cancelled
from anibridge.lib.ranged import RangedFile
from tests.anibridge.lib import servers

pytestmark = pytest.mark.usefixtures("allowed")
BODY = bytes(range(256)) * 40


@pytest.fixture
def session():
    with http.session() as session:
        yield session


def test_any_part_can_be_read(server, session):
    url = server.ranged("/f", BODY)
    with RangedFile(url, session=session, block_size=1000, blocks=3) as file:
        assert file.size == len(BODY)
        assert file.read(10) == BODY[:10]
        file.seek(-7, io.SEEK_END)
        assert file.read() == BODY[-7:]
        assert file.read(1) == b""
        file.seek(2500)
        file.seek(5, io.SEEK_CUR)
        assert io.BufferedReader(file).read(3000) == BODY[2505:5505]


def test_a_block_is_fetched_once_while_it_is_kept(server, session):
    url = server.ranged("/f", BODY)
    with RangedFile(url, session=session, block_size=1000, blocks=3) as file:
        for position in (0, 1500, 100, 1700, 999):
            file.seek(position)
            file.read(1)
    assert [headers["range"] for _, headers in server.asked] == ["bytes=0-999", "bytes=1000-1999"]


def test_more_than_the_budget_is_not_read(server, session):
    url = server.ranged("/f", BODY)
    with RangedFile(url, session=session, block_size=1000, max_bytes=2500) as file:
        with pytest.raises(http.TooLarge):
            file.readall()
        assert file.transferred <= 3000


def test_a_server_without_ranges_is_read_forwards(server, session):
    url = server.serve("/f", BODY, "video/mp4")
    with RangedFile(url, session=session, block_size=1000, blocks=3) as file:
        assert file.size == len(BODY)
        assert file.read(4) == BODY[:4]
        file.seek(5500)
        assert file.read(4) == BODY[5500:5504]
        file.seek(2)
        assert file.read(4) == BODY[2:6]
        file.seek(1500)
        with pytest.raises(io.UnsupportedOperation):
            file.read(1)
        file.seek(len(BODY) - 3)
        assert file.read(10) == BODY[-3:]
    assert len(server.asked) == 1


def test_an_endless_answer_without_ranges_stops_at_the_budget(server, session):
    server.routes["/f"] = servers.endless(b"x" * 1000, {"Content-Type": "video/mp4"})
    with RangedFile(server.url("/f"), session=session, block_size=1000, max_bytes=5000) as file:
        with pytest.raises(io.UnsupportedOperation):
            file.seek(-1, io.SEEK_END)
        with pytest.raises(http.TooLarge):
            file.readall()


def test_a_web_page_is_refused_at_once(server, session):
    url = server.serve("/f", b"<html>gone</html>", "text/html; charset=utf-8")
    with pytest.raises(http.UnexpectedAnswer, match="web page"):
        RangedFile(url, session=session)


@pytest.mark.parametrize(("status", "retryable"), [(404, False), (403, False), (503, True)])
def test_a_refusal_carries_its_status(server, session, status, retryable):
    url = server.serve("/f", b"no", "text/plain", status)
    with pytest.raises(http.UnexpectedAnswer) as raised:
        RangedFile(url, session=session)
    assert (raised.value.status, raised.value.retryable) == (status, retryable)


def test_another_part_than_the_asked_one_is_an_error(server, session):
    server.routes["/f"] = (206, {"Content-Range": "bytes 5-9/10"}, b"56789")
    with pytest.raises(http.OutboundError, match="another part"):
        RangedFile(server.url("/f"), session=session)


def test_a_part_that_is_cut_short_is_an_error(server, session):
    server.routes["/f"] = (206, {"Content-Range": "bytes 0-9/10"}, b"012")
    with pytest.raises(http.OutboundError, match="broke"):
        RangedFile(server.url("/f"), session=session)


def test_an_empty_file_is_empty(server, session):
    url = server.ranged("/f", b"")
    with RangedFile(url, session=session) as file:
        assert (file.size, file.read()) == (0, b"")


def test_the_facts_of_a_remote_video_are_read_without_reading_all_of_it(server, session, videos):
    body = videos.mp4.read_bytes()
    unused = (8 + 3_000_000).to_bytes(4, "big") + b"free" + bytes(3_000_000)
    url = server.ranged("/v.mp4", body + unused)
    with RangedFile(url, session=session, block_size=16 * 1024) as file:
        facts = media.inspect(file)
        assert (facts.vcodec, facts.width, facts.height) == ("h264", 128, 96)
        assert file.transferred < len(body) + 100_000


def test_what_stops_the_reading_comes_through_the_demuxer(server, session, videos):
    url = server.ranged("/v.mp4", videos.mp4.read_bytes())
    small = RangedFile(url, session=session, block_size=1024, max_bytes=2048)
    with small, pytest.raises(http.TooLarge):
        media.inspect(small)

    def check() -> None:
        raise Cancelled("called off")

    file = RangedFile(url, session=session, block_size=1024)
    with file, pytest.raises(Cancelled), http.cancellation(check):
        media.inspect(file)
