"""AniBridge behind its real web server, with a database of its own, and videos to play through it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from django.test import override_settings

from strm import links
from tests.strm.conftest import identity
from tests.strm.host import Host

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "the secret key of the server under test"


@dataclass
class Server:
    url: str
    data: Path
    process: "subprocess.Popen[bytes]"

    def link(self, slug: str) -> str:
        """The stream link of a title, as a .strm file would hold it."""
        with override_settings(SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[]):
            return links.stream_url(identity(slug), base_url=self.url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_migrated: list[bytes] = []
"""The database of the first server of this process, before anybody used it: the next ones begin with a copy."""


@contextmanager
def running(
    data: Path, host: Host, extra: Mapping[str, str] | None = None, *, workers: int = 2
) -> Iterator[Server]:
    """Worker processes, as `manage.py up` starts them, without the rest of AniBridge."""
    port = free_port()
    kept = {
        k: v
        for k, v in os.environ.items()
        if k in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR")
    }
    environment = {
        **kept,
        "PYTHONPATH": str(PROJECT),
        "DJANGO_SETTINGS_MODULE": "anibridge.settings",
        "ANIBRIDGE_DATA_DIR": str(data),
        "ANIBRIDGE_SECRET_KEY": SECRET,
        "ANIBRIDGE_DEMO": "false",
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS": host.place,
        "TEST_SOURCE_URL": host.url,
        **(extra or {}),
    }
    _prepare(data / "anibridge.sqlite3", environment)
    log = (data / "web.log").open("ab")
    command = [
        sys.executable, "-m", "gunicorn", "tests.strm.served:application", "-c", "python:anibridge.webserver",
        "--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--graceful-timeout", "1",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _await(port, process)
        yield Server(f"http://127.0.0.1:{port}", data, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _prepare(database: Path, environment: Mapping[str, str]) -> None:
    if database.exists():
        return
    if _migrated:
        database.write_bytes(_migrated[0])
        return
    command = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)
    # A copy of the file alone is only whole when nothing waits in a journal beside it.
    if not database.with_name(f"{database.name}-wal").exists():
        _migrated.append(database.read_bytes())


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the server does not listen")


def film(folder: Path) -> Path:
    """Twelve seconds of a test picture and a tone, with a key frame each second."""
    path = folder / "film.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    _ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=12:duration=12",
        "-f", "lavfi", "-i", "sine=frequency=440:duration=12",
        "-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k",
        "-movflags", "+faststart", str(path),
    )  # fmt: skip
    return path


SEGMENTED = ("ts", "fmp4", "dash")


def segmented(folder: Path, kind: str) -> Path:
    """The same film as a folder of segments: `ts` (HLS with AES-128), `fmp4` (HLS) or `dash`."""
    made = folder / kind
    if made.exists():
        return made
    source = film(folder)
    made.mkdir()
    if kind == "ts":
        (made / "key.bin").write_bytes(bytes(range(16)))
        (made / "key.info").write_text(f"key.bin\n{made / 'key.bin'}\n{'01' * 16}\n")
    options = {
        "ts": ["-hls_key_info_file", str(made / "key.info"), "-hls_segment_filename", str(made / "seg-%03d.ts")],
        "fmp4": ["-hls_segment_type", "fmp4", "-hls_segment_filename", str(made / "seg-%03d.m4s")],
        "dash": ["-seg_duration", "2", "-use_template", "1", "-use_timeline", "1"],
    }[kind]  # fmt: skip
    form = (
        ["-f", "dash"]
        if kind == "dash"
        else ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]
    )
    target = made / ("list.mpd" if kind == "dash" else "list.m3u8")
    _ffmpeg("-i", str(source), "-c", "copy", *form, *options, str(target))
    if kind != "dash":
        (made / "master.m3u8").write_text(
            '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=320x180,CODECS="avc1.42c00d,mp4a.40.2"\nlist.m3u8\n'
        )
    return made


def _ffmpeg(*arguments: str) -> None:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=120)


def serve(host: Host, slug: str, folder: Path, top: str, kind: str) -> None:
    """A folder's files as a title: `top` is what its link leads to."""
    types = {".m3u8": "text/plain", ".mpd": "text/plain", ".ts": "image/png", ".m4s": "application/x-x", ".mp4": "text/html"}  # fmt: skip
    for path in folder.iterdir():
        if path.is_file():
            host.file(
                f"/{slug}/{path.name}", path.read_bytes(), types.get(path.suffix, "text/html")
            )
    offer(host, slug, {"url": host.at(f"/{slug}/{top}"), "kind": kind})


def offer(host: Host, slug: str, said: dict[str, object]) -> None:
    """What the source says about a title."""

    async def where(request: web.Request) -> web.Response:
        return web.json_response(said)

    host.routes[f"/where/{slug}"] = where


def expire_after(host: Host, slug: str, top: str, requests: int) -> list[int]:
    """Makes every address of a title end once, after so many requests; returns how often one was handed out."""
    handed: list[int] = []
    seen = 0

    def token(text: str) -> str:
        """Each address of a playlist with the token of now."""
        lines = []
        for line in text.split("\n"):
            if line and not line.startswith("#"):
                line += f"?t={len(handed)}"
            lines.append(
                line.replace('.bin"', f'.bin?t={len(handed)}"').replace(
                    '.mp4"', f'.mp4?t={len(handed)}"'
                )
            )
        return "\n".join(lines)

    async def where(request: web.Request) -> web.Response:
        handed.append(1)
        url = host.at(f"/{slug}/{top}?t={len(handed)}")
        return web.json_response({"url": url, "kind": "file" if top.endswith(".mp4") else "hls"})

    def checked(handler):  # type: ignore[no-untyped-def]
        async def check(request: web.Request) -> web.StreamResponse:
            nonlocal seen
            seen += 1
            good = len(handed) if len(handed) > 1 or seen <= requests else len(handed) + 1
            if request.query.get("t") != str(good):
                return web.Response(status=403, text="expired")
            if request.path.endswith(".m3u8"):
                return web.Response(text=token(handler.content.decode()))
            return await handler(request)

        return check

    for path, handler in list(host.routes.items()):
        if path.startswith(f"/{slug}/"):
            host.routes[path] = checked(handler)
    host.routes[f"/where/{slug}"] = where
    return handed


def broadcast(host: Host, slug: str, folder: Path) -> tuple[list[int], list[str]]:
    """Makes a title a live stream of three segments at a time, which goes on as they are taken. Each load has a token of its
    own; now and then all that were handed out end at once. Returns the loads and the requests that were refused."""
    names = sorted(path.name for path in folder.glob("seg-*.ts"))
    loads: list[int] = []
    refused: list[str] = []
    served: set[str] = set()
    token = 0

    async def playlist(request: web.Request) -> web.Response:
        nonlocal token
        token += 1
        first = min(max(len(served) - 1, 0), len(names) - 3)
        loads.append(first)
        lines = [f'#EXT-X-KEY:METHOD=AES-128,URI="key.bin?t={token}",IV=0x{"01" * 16}']
        # ffmpeg waits for as long as the last segment is said to last before it loads again.
        lines += [f"#EXTINF:0.2,\n{name}?t={token}" for name in names[first : first + 3]]
        if first == len(names) - 3:
            lines.append("#EXT-X-ENDLIST")
        elif len(loads) % 3 == 1:
            token += 4  # a while has gone by
        head = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        return web.Response(text=head + "\n".join(lines) + "\n")

    def checked(handler):  # type: ignore[no-untyped-def]
        async def check(request: web.Request) -> web.StreamResponse:
            if token - int(request.query["t"]) > 3:
                refused.append(request.path)
                return web.Response(status=410)
            if request.path.endswith(".ts"):
                served.add(request.path)
            return await handler(request)

        return check

    for path, handler in list(host.routes.items()):
        if path.startswith(f"/{slug}/"):
            host.routes[path] = checked(handler)
    host.routes[f"/{slug}/live.m3u8"] = playlist
    return loads, refused


def has(program: str) -> bool:
    return shutil.which(program) is not None
