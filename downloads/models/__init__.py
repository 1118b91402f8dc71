"""The tables of `downloads`, by subject."""

from downloads.models.heartbeats import Heartbeat
from downloads.models.jobs import Job, JobEvent, JobFile, JobQuerySet, JobStatus

__all__ = ["Heartbeat", "Job", "JobEvent", "JobFile", "JobQuerySet", "JobStatus"]
