"""AniBridge's own workers: nothing is sent anywhere, the job's row is the message."""

from collections.abc import Mapping, Sequence

from downloads.downloaders.base import Answer, Content, Item, Place, Report


class Builtin:
    """Takes everything; how it goes stands in the jobs already, and a change of their status is all it needs."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def submit(self, items: Sequence[Item]) -> Mapping[str, Answer]:
        return {item.key: Answer() for item in items}

    def status(self, ids: Sequence[str]) -> Mapping[str, Report]:
        return {}

    def pause(self, remote_id: str) -> None:
        """A worker sees the job's status within a second."""

    def resume(self, remote_id: str) -> None:
        """A queued job is claimed by the next free worker."""

    def cancel(self, ids: Sequence[str]) -> Mapping[str, bool]:
        return dict.fromkeys(ids, True)

    def delete(self, remote_id: str, *, delete_files: bool) -> None:
        """`downloads.services` clears away what a worker wrote."""

    def limit(self, remote_id: str, rate_limit: int | None) -> bool:
        """A worker reads the job's limit once a second."""
        return True

    def contents(self, remote_id: str) -> Sequence[Content]:
        return ()

    def health(self) -> str:
        return "part of AniBridge"

    def close(self) -> None:
        """There is nothing open."""
