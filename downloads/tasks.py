"""Celery's way into downloads: claim, call, move. Safe to deliver twice, late or never."""

from celery import Task, shared_task

from downloads import runner, services, transitions


@shared_task(name="downloads.run_job", bind=True, acks_late=True)
def run_job(self: Task, job_id: int) -> None:
    """Carry one job to its end; only the caller that wins the claim does anything."""
    token = transitions.claim(job_id, self.request.hostname or "")
    if token is not None:
        runner.execute(job_id, token)


@shared_task(name="downloads.sweep")
def sweep() -> None:
    """Bring back jobs of silent workers and wake workers for what is due."""
    services.sweep()
