"""Real web processes, one server after the other and several at once, over one database."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from catalogue.releases import Identity, magnet_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e-processes")]
MAGNET = magnet_of(Identity("demo", "sintel", 1, 1, "German Dub"), "Sintel.S01E01.German.1080p")


class Server:
    """An installation in a folder of its own, and whoever talks to it."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.env = {
            **os.environ,
            "ANIBRIDGE_DATA_DIR": str(data),
            "ANIBRIDGE_DOWNLOAD_DIR": str(data / "downloads"),
            "ANIBRIDGE_ADMIN_PASSWORD": "adminadmin",
            "ANIBRIDGE_PORT": str(self.port),
            "ANIBRIDGE_DEMO": "true",
            "CATALOGUE_SITES": "demo",
        }
        for name in ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"):
            self.env.pop(name, None)
        self.cookie = ""

    def prepare(self) -> None:
        command = [sys.executable, "manage.py", "prepare"]
        subprocess.run(command, cwd=settings.BASE_DIR, env=self.env, check=True, stdout=subprocess.DEVNULL)  # fmt: skip

    @contextmanager
    def running(self, workers: int) -> Iterator[None]:
        command = [
            sys.executable, "-m", "gunicorn", "anibridge.asgi:application", "-k", "asgi", "--bind",
            f"127.0.0.1:{self.port}", "--workers", str(workers), "--no-control-socket", "--log-level", "warning",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=self.env)
        try:
            self._wait()
            yield
        finally:
            process.terminate()
            process.wait(60)

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                self.ask("app/version")
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError("the server did not start")

    def ask(self, path: str, data: dict[str, Any] | None = None, **params: Any) -> tuple[int, str]:
        """A connection of its own each time, so that it may be another web process that answers."""
        query = urllib.parse.urlencode(params)
        body = None if data is None else urllib.parse.urlencode(data).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v2/{path}?{query}",
            data=body,
            headers={"Cookie": self.cookie, "Connection": "close"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                if cookie := answer.headers.get("Set-Cookie"):
                    self.cookie = cookie.partition(";")[0]
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def read(self, path: str, **params: Any) -> Any:
        status, text = self.ask(path, **params)
        assert status == 200
        return json.loads(text)

    def everything(self) -> dict[str, Any]:
        """What a client knows, without what moves by itself."""
        return {
            path: self.read(path)
            for path in ("torrents/info", "torrents/categories", "torrents/tags", "app/preferences")
        }


@pytest.fixture
def server(tmp_path: Path) -> Server:
    made = Server(tmp_path / "data")
    made.prepare()
    return made


def test_everything_is_there_after_a_restart(server: Server):
    with server.running(workers=1):
        assert server.ask("app/version")[0] == 403
        login = {"username": "admin", "password": "adminadmin"}
        assert server.ask("auth/login", login) == (200, "Ok.")
        form = {"urls": MAGNET, "category": "tv", "tags": "a,b", "stopped": "true"}
        assert server.ask("torrents/add", form) == (200, "Ok.")
        server.ask("torrents/createTags", {"tags": "unused"})
        server.ask("app/setPreferences", {"json": '{"locale": "de"}'})
        before = server.everything()
        rid = server.read("sync/maindata")["rid"]
        [item] = before["torrents/info"]
        assert (item["state"], item["category"], item["tags"]) == ("stoppedDL", "tv", "a, b")
    with server.running(workers=2):
        assert server.everything() == before
        told = server.read("sync/maindata", rid=rid)
        # The answer before the restart is still one that a difference can be told to.
        assert ("full_update" in told, told["rid"]) == (False, rid + 1)
        assert "torrents" not in told
        whole = server.read("sync/maindata")
        assert (whole["full_update"], list(whole["torrents"])) == (True, [item["hash"]])
        known, server.cookie = server.cookie, "SID=" + "0" * 32
        assert server.ask("torrents/info") == (403, "Forbidden")
        server.cookie = known
        assert server.ask("auth/logout", {})[0] == 200
    with server.running(workers=1):
        server.cookie = known
        assert server.ask("torrents/info")[0] == 403


def test_a_form_may_come_in_chunks_without_a_length(server: Server):
    login = urllib.parse.urlencode({"username": "admin", "password": "adminadmin"}).encode()
    with server.running(workers=1):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for body, expected in (
            ([login[:9], login[9:]], (200, b"Ok.")),
            ([b"username=admin&", b"password=wrong"], (200, b"Fails.")),
        ):
            connection.request("POST", "/api/v2/auth/login", iter(body), kind, encode_chunked=True)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == expected
        connection.close()


def test_it_does_not_matter_which_web_process_answers(server: Server):
    with server.running(workers=3):
        server.ask("auth/login", {"username": "admin", "password": "adminadmin"})
        rid = server.read("sync/maindata")["rid"]
        for number in range(12):
            server.ask("torrents/createTags", {"tags": f"tag-{number}"})
            told = server.read("sync/maindata", rid=rid)
            assert (told["rid"], told["tags"]) == (rid + 1, [f"tag-{number}"])
            assert "full_update" not in told
            rid = told["rid"]
        known, server.cookie = server.cookie, ""
        wrong = {"username": "admin", "password": "wrong"}
        for _ in range(5):
            assert server.ask("auth/login", wrong) == (200, "Fails.")
        for _ in range(3):
            assert server.ask("auth/login", wrong)[0] == 403, "whichever has counted"
        server.cookie = known
        assert server.ask("app/version")[0] == 200
