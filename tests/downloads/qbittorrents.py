"""Real qBittorrents on loopback: started with a profile of their own, asked through their own Web API."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import qbittorrentapi
import torf

from downloads import delivery, polling, services
from downloads.models import Downloader, Job, JobStatus

WAIT = 60.0
USER, PASSWORD = "admin", "adminadmin"
_SALT = bytes(range(16))
_DERIVED = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), _SALT, 100_000)
# As qBittorrent 4.2 and later keep it.
PBKDF2 = f"@ByteArray({b64encode(_SALT).decode()}:{b64encode(_DERIVED).decode()})"

CONFIG = """
[LegalNotice]
Accepted=true

[BitTorrent]
Session\\Port={port}
Session\\Interface=lo
Session\\InterfaceName=lo
Session\\InterfaceAddress=127.0.0.1
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\MultiConnectionsPerIp=true
Session\\QueueingSystemEnabled=false
Session\\DefaultSavePath={downloads}
Session\\AddTorrentPaused=false

[Network]
PortForwardingEnabled=false

[Preferences]
Connection\\ResolvePeerCountries=false
Connection\\ResolvePeerHostNames=false
WebUI\\Address=127.0.0.1
WebUI\\Port={web}
WebUI\\LocalHostAuth={auth}
WebUI\\Username=admin
WebUI\\Password_PBKDF2="{password}"
WebUI\\MaxAuthenticationFailCount=100
General\\Locale=en
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def need_program() -> str:
    """The path of qbittorrent-nox. Where it is missing the test is skipped, in CI it fails."""
    program = shutil.which("qbittorrent-nox")
    if program is None:
        text = "qbittorrent-nox is not installed (make services)"
        pytest.fail(text) if os.environ.get("CI") == "true" else pytest.skip(text)
    return program


def until(check: Callable[[], object], what: str, seconds: float = WAIT) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


@dataclass
class QB:
    """A running qBittorrent."""

    folder: Path
    web: int
    port: int
    process: subprocess.Popen = field(repr=False)
    api: qbittorrentapi.Client = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web}"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    def torrent(self, infohash: str) -> dict | None:
        found = self.api.torrents_info(torrent_hashes=infohash)
        return found[0] if found else None

    def hashes(self) -> set[str]:
        return {row.hash for row in self.api.torrents_info()}

    def clear(self) -> None:
        """Forget everything, as a new one."""
        self.api.torrents_delete(delete_files=True, torrent_hashes="all")
        until(lambda: not self.api.torrents_info(), "the list is empty")


@contextmanager
def qbittorrent(folder: Path, *, auth: bool = True, web: int = 0, port: int = 0) -> Iterator[QB]:
    """A qBittorrent with everything below `folder`; gone at the end."""
    program = need_program()
    web, port = web or free_port(), port or free_port()
    config = folder / "qBittorrent" / "config" / "qBittorrent.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    (folder / "downloads").mkdir(exist_ok=True)
    config.write_text(
        CONFIG.format(
            port=port,
            web=web,
            downloads=folder / "downloads",
            auth="true" if auth else "false",
            password=PBKDF2,
        )
    )
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, f"--profile={folder}", f"--webui-port={web}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder), "QT_QPA_PLATFORM": "offscreen"},
        )
    api = qbittorrentapi.Client(
        host=f"http://127.0.0.1:{web}",
        username=USER,
        password=PASSWORD,
        FORCE_SCHEME_FROM_HOST=True,
        REQUESTS_ARGS={"timeout": 20},
    )
    api._session.trust_env = False
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            try:
                return bool(api.app_version())
            except qbittorrentapi.APIConnectionError:
                return False

        until(answers, "qBittorrent answers")
        yield QB(folder, web, port, process, api)
    finally:
        api._trigger_session_initialization()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Seeded:
    """Something that the seeder has: the torrent file, its hash, and a magnet that names the seeder as a peer."""

    path: Path
    content: bytes
    infohash: str
    magnet: str


def seed(seeder: QB, name: str, files: dict[str, bytes] | bytes) -> Seeded:
    """Make a file, or a folder of files, and its torrent; returns once the seeder has checked it and uploads."""
    path = seeder.downloads / name
    if isinstance(files, bytes):
        path.write_bytes(files)
    else:
        for relative, data in files.items():
            (path / relative).parent.mkdir(parents=True, exist_ok=True)
            (path / relative).write_bytes(data)
    torrent = torf.Torrent(path=path, piece_size=16 * 1024, created_by="tests", creation_date=None)
    torrent.generate(threads=1)
    content = torrent.dump()
    seeder.api.torrents_add(
        torrent_files=content, save_path=str(seeder.downloads), is_skip_checking=False
    )
    infohash = torrent.infohash
    until(
        lambda: (row := seeder.torrent(infohash)) and row["progress"] == 1,
        "the seeder has what it seeds",
    )
    magnet = f"magnet:?xt=urn:btih:{infohash}&dn={name}&x.pe=127.0.0.1:{seeder.port}"
    return Seeded(path, content, infohash, magnet)


def introduce(seeder: QB, leecher: QB, infohash: str) -> None:
    """Tell both of each other: after a pause each waits a minute before it calls the other again by itself."""
    for one, other in ((leecher, seeder), (seeder, leecher)):
        if one.torrent(infohash):
            one.api.torrents_add_peers(torrent_hashes=infohash, peers=f"127.0.0.1:{other.port}")


def now(job: Job) -> Job:
    """The job as it stands in the database."""
    return Job.objects.get(pk=job.pk)


def pause_and_resume(box: Downloader, job: Job, leecher: QB) -> None:
    """Stop a job that the leecher runs for `box`, see that it is so there and here, and let it go on."""
    infohash = job.infohash
    services.pause(job.pk)
    delivery.run()
    until(lambda: leecher.torrent(infohash).state == "pausedDL", "it is paused there")
    polling.poll(box.pk)
    assert now(job).status == JobStatus.PAUSED
    services.resume(job.pk)
    delivery.run()
    until(lambda: leecher.torrent(infohash).state != "pausedDL", "it goes on there")
