"""Celery's way into downloads: claim, call, move. Safe to deliver twice, late or never."""

from celery import Task, shared_task

from downloads import (
    cleanup,
    clearing,
    delivery,
    dispatch,
    dispatching,
    polling,
    queue,
    runner,
    services,
    sweeper,
    tending,
)
from downloads.links import feeds, nudges, processing


@shared_task(name="downloads.run_job", bind=True, acks_late=True)
def run_job(self: Task, job_id: int) -> None:
    """Carry the first job of the queue to its end, whichever the message was about, and then those behind it."""
    owner = self.request.hostname or ""
    claimed = queue.claim_next(owner)
    try:
        if claimed is not None:
            # There may be work for more than one.
            queue.wake()
        while claimed is not None:
            runner.execute(*claimed)
            # Somebody may have wanted its files elsewhere meanwhile.
            tending.carry_if_free(claimed[0])
            claimed = queue.claim_next(owner)
    except BaseException:
        queue.wake()
        raise


@shared_task(name="downloads.tend", acks_late=True)
def tend() -> None:
    """Move and check the files of finished downloads, as clients wished."""
    tending.run()


@shared_task(name="downloads.clear", acks_late=True)
def clear() -> None:
    """Delete the files of deleted downloads, and what unfinished ones have left."""
    clearing.run()
    sweeper.clear_leftovers()


@shared_task(name="downloads.sweep")
def sweep() -> None:
    """Bring back jobs of silent workers and wake workers for what is due."""
    services.sweep()


@shared_task(name="downloads.dispatch", soft_time_limit=600)
def give_out() -> None:
    """Give the links that wait to downloaders, and tell those what their jobs have come to."""
    delivery.run()
    dispatching.run()


@shared_task(name="downloads.deliver", soft_time_limit=600)
def deliver() -> None:
    """Tell downloaders what their jobs have come to; links that waited for that go now."""
    if delivery.run():
        dispatching.run()


@shared_task(name="downloads.poll")
def poll() -> None:
    """Have each downloader that has jobs asked how they go, each by a message of its own: one that hangs holds up
    nobody else."""
    for downloader_id in polling.due():
        dispatch.nudge_poll(downloader_id)


@shared_task(name="downloads.poll_downloader", soft_time_limit=600)
def poll_downloader(downloader_id: int) -> None:
    """Ask one downloader how its jobs go."""
    polling.poll(downloader_id)


@shared_task(name="downloads.process_links", soft_time_limit=600)
def process_links() -> None:
    """Have links that are new judged and made into jobs, and read their titles; the rest is the next message's."""
    if processing.run():
        nudges.process()


@shared_task(name="downloads.poll_feeds")
def poll_feeds() -> None:
    """Have each feed asked whose turn it is, each by a message of its own: one that hangs holds up nobody else."""
    for feed_id in feeds.due():
        nudges.poll(feed_id)


@shared_task(name="downloads.poll_feed", soft_time_limit=240)
def poll_feed(feed_id: int) -> None:
    """Ask one feed, if it is its turn and nobody else does."""
    feeds.poll(feed_id)


@shared_task(name="downloads.cleanup", soft_time_limit=3600)
def clean_up() -> None:
    """Drop unfinished files that nobody goes on with, and records of what is long gone."""
    cleanup.cleanup()


@shared_task(name="downloads.forget_links")
def forget_links() -> None:
    """Delete links that nobody has named for half a year."""
    processing.forget()
