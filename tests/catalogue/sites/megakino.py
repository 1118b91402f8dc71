"""Saved pages of Megakino, and answers made for a test."""

from pathlib import Path

from catalogue.sites.base import GERMAN_DUB, Answer
from catalogue.sites.megakino import Megakino

PAGES = Path(__file__).parent / "pages" / "megakino"
BASE = "https://megakino.example"
FILM = "/films/4711-404-der-film.html"
SERIAL = "/serials/88-die-bernsteinfuechsin-2-staffel.html"
LIST = "/films/"
GERMAN = frozenset({GERMAN_DUB})
site = Megakino()


def saved(name: str, path: str = FILM) -> Answer:
    return Answer(BASE + path, 200, {"content-type": "text/html"}, (PAGES / name).read_text())


def answer(text: str = "", status: int = 200, path: str = FILM, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(BASE + path, status, named, text)


def whole(body: str) -> str:
    return f"<!DOCTYPE html><html><head><title>x</title></head><body>{body}</body></html>"
