"""Jobs in every status. They are only rows: what should lie on the disk, a test puts there."""

from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from downloads import files
from downloads.models import Job, JobFile, JobStatus

MIB = 2**20


class JobFactory(DjangoModelFactory):
    """A queued episode of the demo catalogue."""

    class Meta:
        model = Job

    class Params:
        running = factory.Trait(
            status=JobStatus.DOWNLOADING,
            owner="worker",
            attempts=1,
            heartbeat_at=factory.LazyFunction(timezone.now),
            active_at=factory.LazyFunction(timezone.now),
            started_at=factory.LazyFunction(timezone.now),
            total_bytes=400 * MIB,
            downloaded_bytes=100 * MIB,
            progress=0.25,
            speed=5 * MIB,
            eta=60,
        )
        paused = factory.Trait(status=JobStatus.PAUSED)
        cancelled = factory.Trait(status=JobStatus.CANCELLED)
        failed = factory.Trait(
            status=JobStatus.FAILED, error_message="no host gave the file. VOE: gone"
        )
        completed = factory.Trait(
            status=JobStatus.COMPLETED,
            started_at=factory.LazyFunction(lambda: timezone.now() - timedelta(minutes=5)),
            completed_at=factory.LazyFunction(timezone.now),
            total_bytes=400 * MIB,
            downloaded_bytes=400 * MIB,
            progress=1.0,
            result_path=factory.LazyAttribute(lambda job: f"{job.save_path}/{job.name}.mp4"),
        )

    # From 1 on: the hash of nothing but zeros is the one that tests take for «unknown».
    infohash = factory.Sequence(lambda n: f"{n + 1:040x}")
    name = factory.Sequence(lambda n: f"Invented.Story.S01E{n + 1:02}.German.1080p.WEB.H264-DEMO")
    source_site = "demo"
    slug = "invented-story"
    season = 1
    episode = factory.Sequence(lambda n: n + 1)
    language = "German Dub"
    category = ""
    save_path = factory.LazyAttribute(lambda job: str(files.category_folder(job.category)))


class JobFileFactory(DjangoModelFactory):
    """The file of a finished job."""

    class Meta:
        model = JobFile

    job = factory.SubFactory(JobFactory, completed=True)
    season = factory.SelfAttribute("job.season")
    episode = factory.SelfAttribute("job.episode")
    path = factory.SelfAttribute("job.result_path")
    size_bytes = 400 * MIB
