"""Jobs for plain links that the built-in downloader has been given, and running them."""

import hashlib
from typing import Any

from downloads import orders, runner, transitions
from downloads.detection import DownloadType
from downloads.models import Downloader, DownloaderKind, Job


def link_job(url: str, **fields: Any) -> Job:
    """A queued job for a link, as dispatch leaves it."""
    builtin, _ = Downloader.objects.get_or_create(
        kind=DownloaderKind.BUILTIN, defaults={"name": "built in"}
    )
    values = {
        "infohash": hashlib.sha1(url.encode()).hexdigest(),
        "name": orders.name_in(url),
        "download_type": DownloadType.HTTP,
        "source_site": orders.LINK_SITE,
        "episode": 0,
        "save_path": "",
        "downloader": builtin,
        "magnet_metadata": {"mode": "download"},
        **fields,
    }
    if not values["save_path"]:
        from downloads import files

        values["save_path"] = str(files.category_folder(values.get("category", "")))
    job = Job.objects.create(url=url, **values)
    transitions.created(job)
    return job


def carry(job: Job, owner: str = "worker@test") -> Job:
    """Claim and run a job in this thread; the row afterwards."""
    token = transitions.claim(job.pk, owner)
    assert token is not None, "it could not be claimed"
    runner.execute(job.pk, token)
    return Job.objects.get(pk=job.pk)
