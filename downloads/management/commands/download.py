"""`manage.py download …`: the queue on the command line.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no such download, 4 its status does not allow it, 5 `watch`
ran out of time.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.lib.console import bytes_of, print_rows
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.masking import masked_text
from downloads import asking, control, selecting, services, shown, watching
from downloads.control import Action
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobStatus
from downloads.selecting import Selection

COLUMNS = ("id", "status", "progress", "name", "source_site", "downloader", "error_message")
MAX_TORRENT = 10 * 2**20
FAILED: Final = 1
UNKNOWN: Final = 3
NOT_POSSIBLE: Final = 4
OUT_OF_TIME: Final = 5
_COMMANDS = (
    (Action.PAUSE, "stop for now, keep what was fetched"),
    (Action.RESUME, "let paused ones go on"),
    (Action.CANCEL, "stop for good"),
    (Action.RETRY, "queue failed or cancelled ones again"),
)


class Command(BaseCommand):
    help = "Add, list, show, pause, resume, cancel, retry, delete and watch downloads."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=argparse.ArgumentParser
        )
        _describe_add(actions.add_parser("add", help="queue links, or an episode of a site"))
        _describe_list(actions.add_parser("list", help="the newest downloads"))
        status = actions.add_parser("status", help="one download with its history")
        status.add_argument("download", help="its id or infohash")
        for command, text in _COMMANDS:
            action = actions.add_parser(command.value, help=text)
            action.add_argument("download", nargs="+", help="ids or infohashes")
        remove = actions.add_parser("remove", help="delete from the list")
        remove.add_argument("download", nargs="+", help="ids or infohashes")
        remove.add_argument("--files", action="store_true", help="delete their files too")
        watch = actions.add_parser("watch", help="follow until all are over")
        watch.add_argument("download", nargs="*", help="ids or infohashes; without: all under way")
        watch.add_argument("--timeout", type=float, metavar="SECONDS", help="for so long at most")
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._handle(options)
        except UnknownJob as error:
            raise CommandError(str(error), returncode=UNKNOWN) from None
        except Job.DoesNotExist:
            raise CommandError("it was deleted just now", returncode=UNKNOWN) from None
        except IllegalTransition as error:
            raise CommandError(f"not possible: {error}", returncode=NOT_POSSIBLE) from None
        except AniBridgeError as error:
            raise CommandError(str(error), returncode=FAILED) from None

    def _handle(self, options: dict[str, Any]) -> None:
        name = options["action"]
        if name in {command.value for command, _ in _COMMANDS}:
            self._tell(Action(name), options)
            return
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "add": self._add, "list": self._list, "status": self._status, "remove": self._remove,
            "watch": self._watch,
        }  # fmt: skip
        handlers[name](options)

    def _add(self, options: dict[str, Any]) -> None:
        taken, refused = [], []
        for said, order in _orders(options):
            try:
                taken.append(asking.enqueue(order(), options["priority"] or "", options["force"]))
            except AniBridgeError as error:
                refused.append((said, str(error)))
        self._show([one.job for one in taken], options)
        if not refused:
            return
        if len(refused) == 1 and not taken:
            raise CommandError(refused[0][1], returncode=FAILED)
        for said, reason in refused:
            self.stderr.write(f"not added: {said}: {reason}")
        raise CommandError(f"{len(refused)} not added, {len(taken)} are", returncode=FAILED)

    def _list(self, options: dict[str, Any]) -> None:
        selection = Selection(
            statuses=options["status"] or (),
            category=options["category"],
            source_sites=options["site"] or (),
            name=options["name"],
        )
        ordering = selecting.ordering(options["sort"])
        if ordering is None:
            known = ", ".join(selecting.SORTABLE)
            raise CommandError(f"--sort takes one of {known}, with or without «-»", returncode=2)
        limit = max(options["limit"], 0)
        self._show(list(ordering.apply(selection.apply())[:limit]), options)

    def _status(self, options: dict[str, Any]) -> None:
        job = services.get(options["download"])
        self._show([job], options)
        if not options["json"]:
            for event in job.events.all():
                line = f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.old or '–'} → {event.new}"
                self.stdout.write(f"{line}  {masked_text(event.reason)}".rstrip())

    def _tell(self, action: Action, options: dict[str, Any]) -> None:
        """Every one is told, also behind one that refuses; then the first refusal is the answer."""
        jobs = [services.get(reference) for reference in options["download"]]
        refusals: list[AniBridgeError] = []
        for job in jobs:
            try:
                control.act(job.pk, action)
            except (IllegalTransition, UnknownJob) as error:
                refusals.append(error)
                if len(jobs) > 1:
                    self.stderr.write(f"{job.pk}: not possible: {error}")
        if refusals and len(refusals) == len(jobs):
            raise refusals[0]
        self._show(list(_present(job.pk for job in jobs)), options)
        if refusals:
            raise refusals[0]

    def _remove(self, options: dict[str, Any]) -> None:
        jobs = [services.get(reference) for reference in options["download"]]
        for job in jobs:
            control.act(job.pk, Action.DELETE, delete_files=options["files"])
        if options["json"]:
            rows = [{"id": job.pk, "hash": job.infohash, "name": job.name} for job in jobs]
            print_rows(self.stdout, rows, ("id", "name"), as_json=True)  # type: ignore[arg-type]
            return
        for job in jobs:
            self.stdout.write(f"removed {job.name}")

    def _watch(self, options: dict[str, Any]) -> None:
        if options["download"]:
            ids = [services.get(reference).pk for reference in options["download"]]
        else:
            under_way = Job.objects.present().exclude(status__in=(*shown.DONE, JobStatus.PAUSED))
            ids = list(under_way.order_by("pk").values_list("pk", flat=True)[:200])
            if not ids and not options["json"]:
                self.stdout.write("nothing is under way")
        states: watching.States = {}
        display = watching.display_for(self.stdout, as_json=options["json"])  # type: ignore[arg-type]
        try:
            with display:
                for states in watching.follow(ids, seconds=options["timeout"]):
                    for state in states.values():
                        display.show(state)
        except KeyboardInterrupt:  # the usual way to stop watching
            sys.exit(130)
        over = [state for state in states.values() if state["status"] in shown.DONE]
        if len(over) < len(states):
            raise CommandError("they are not over yet", returncode=OUT_OF_TIME)
        bad = [state for state in over if state["status"] != JobStatus.COMPLETED]
        if bad:
            raise CommandError(f"{len(bad)} of {len(over)} did not arrive", returncode=FAILED)

    def _show(self, jobs: Iterable[Job], options: dict[str, Any]) -> None:
        rows = [shown.download(job) for job in jobs]
        print_rows(self.stdout, rows, COLUMNS, as_json=options["json"])  # type: ignore[arg-type]


def _present(ids: Iterable[int]) -> Iterator[Job]:
    wanted = list(ids)
    found = Job.objects.present().select_related("downloader").in_bulk(wanted)
    return (found[pk] for pk in wanted if pk in found)


def _describe_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "link", nargs="*",
        help="magnet:, http(s):, the path of a .torrent file, or - for one link a line from the standard input",
    )  # fmt: skip
    episode = parser.add_argument_group("instead of a link, an episode of a site")
    episode.add_argument("--site")
    episode.add_argument("--slug")
    episode.add_argument("--season", type=int)
    episode.add_argument("--episode", type=int, help="without: the whole season")
    episode.add_argument("--language", default="German Dub")
    episode.add_argument("--provider", default="", help="the host to be asked first")
    parser.add_argument("--name", default="")
    parser.add_argument("--category", default="")
    parser.add_argument("--save-path", default="", help="below the download folder")
    parser.add_argument("--paused", action="store_true")
    parser.add_argument("--priority", choices=("top", "bottom"))
    parser.add_argument("--force", action="store_true", help="although all slots are taken")
    parser.add_argument("--rate-limit", type=_size, help="bytes a second; 10MB is understood")
    parser.add_argument("--checksum", default="", help="sha256:…, sha1:… or md5:…")


def _describe_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", action="append", choices=JobStatus.values)
    parser.add_argument("--category")
    parser.add_argument("--site", action="append", help="a site id, or link")
    parser.add_argument("--name", default="", help="words that the name holds")
    parser.add_argument("--sort", default="-created_at", help="a field; -field for descending")
    parser.add_argument("--limit", type=int, default=50)


def _size(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _orders(options: dict[str, Any]) -> Iterator[tuple[str, Callable[[], asking.Order]]]:
    """What was said, and what makes an order of it."""
    if bool(options["link"]) == bool(options["slug"]):
        raise CommandError("give links, or an episode by --site, --slug and --season", returncode=2)
    common: dict[str, Any] = {
        "name": options["name"],
        "category": options["category"],
        "save_path": options["save_path"],
        "paused": options["paused"],
        "rate_limit": options["rate_limit"],
        "checksum": options["checksum"],
    }
    if options["slug"]:
        yield options["slug"], _later(asking.Wish(episode=_episode(options), **common))
    for link in _links(options["link"]):
        path = Path(link)
        if link.lower().endswith(".torrent") and "://" not in link and path.is_file():
            yield link, _torrent(path, common)
        else:
            yield link, _later(asking.Wish(link=link, **common))


def _later(wish: asking.Wish) -> Callable[[], asking.Order]:
    return lambda: asking.order_of(wish)


def _torrent(path: Path, common: dict[str, Any]) -> Callable[[], asking.Order]:
    def order() -> asking.Order:
        with path.open("rb") as file:
            return asking.order_of_torrent(file.read(MAX_TORRENT + 1), asking.Wish(**common))

    return order


def _episode(options: dict[str, Any]) -> asking.Episode:
    if not options["site"] or options["season"] is None:
        raise CommandError("an episode needs --site, --slug and --season", returncode=2)
    return asking.Episode(
        site=options["site"],
        slug=options["slug"],
        season=options["season"],
        episode=options["episode"],
        language=options["language"],
        provider=options["provider"],
    )


def _links(given: Iterable[str]) -> Iterator[str]:
    for link in given:
        if link == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield link
