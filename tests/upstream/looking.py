"""What a worker does first with a link that a client gave: look what is behind it. No more than that, so that nothing is
fetched and every torrent of the tests waits in the queue, as one does at a qBittorrent that reaches nobody."""

import os
import sys
import time

import django


def main(parent: int) -> None:
    """Look until the process that wants it is gone."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")
    django.setup()
    from django.utils import timezone

    from downloads import preparing
    from downloads.detection import DownloadType
    from downloads.models import Job

    links = (DownloadType.HTTP, DownloadType.TORRENT)
    while os.getppid() == parent:
        for job in Job.objects.dispatchable(timezone.now()).filter(download_type__in=links):
            preparing.prepare(job)
        time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
