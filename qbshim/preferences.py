"""qBittorrent's preferences: what is true here, and what clients have set."""

import json
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from downloads import files, limits
from qbshim import paths
from qbshim.models import Preference
from qbshim.preference_keys import DEFAULTS, FIXED, LIMITS, LONGEST_TEXT, RANGES

SAVE_PATH = "save_path"
_LIMITS = {"dl_limit": "download_limit", "alt_dl_limit": "alternative_download_limit"}
"""Kept with the engines that obey them, not here."""
_BELIEVED_SECONDS = 5.0


def everything() -> dict[str, Any]:
    """The answer of `app/preferences`: all keys, sorted."""
    kept = stored()
    speed = limits.speed_limits()
    slots = settings.DOWNLOAD_CONCURRENCY
    return dict(
        sorted(
            {
                **DEFAULTS,
                **kept,
                "alt_dl_limit": speed.alternative_download_limit,
                "dl_limit": speed.ordinary,
                "max_active_downloads": slots,
                "max_active_torrents": slots,
                "save_path": paths.shown(paths.default_folder(kept.get(SAVE_PATH))),
                # Unfinished files never lie where clients look, so no temporary path is switched on.
                "temp_path": paths.shown(paths.root() / files.PARTIAL),
                "web_ui_address": settings.HOST,
                "web_ui_port": settings.PORT,
            }.items()
        )
    )


def stored() -> dict[str, Any]:
    """What clients have set, as far as it is still a preference."""
    rows = Preference.objects.filter(key__in=list(DEFAULTS)).values_list("key", "value")
    return {key: value for key, value in rows if key not in FIXED}


def get(key: str) -> Any:
    """One of them, as it is now."""
    row = Preference.objects.filter(pk=key).values_list("value", flat=True).first()
    return DEFAULTS[key] if row is None or key in FIXED else row


def given(stored: Mapping[str, Any], key: str) -> Any:
    """One of them out of what `stored` gave."""
    return stored.get(key, DEFAULTS[key])


class Believed:
    """All of them for some seconds, for rules that every request is looked at by."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._values: Mapping[str, Any] = DEFAULTS

    def get(self, key: str) -> Any:
        """One of them, as it was at most a few seconds ago."""
        if time.monotonic() - self._read_at > _BELIEVED_SECONDS:
            self._values = {**DEFAULTS, **stored()}
            self._read_at = time.monotonic()
        return self._values[key]

    def forget(self) -> None:
        """Read them again at the next question."""
        self._read_at = float("-inf")


believed = Believed()


def change(text: str) -> None:
    """Keep what a client sets; `text` is its JSON. What is no JSON, unknown, fixed or of the wrong type is left out, as in
    qBittorrent. Raises OutsideDownloads for a save path elsewhere; then nothing is kept."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(asked, dict):
        return
    found: dict[str, Any] = {}
    for key, value in asked.items():
        if key in DEFAULTS and key not in FIXED and (fit := _fitting(key, value)) is not None:
            found[key] = fit
    if SAVE_PATH in found:
        kept = paths.stored(found[SAVE_PATH])
        found[SAVE_PATH] = "" if kept == "." else kept
    _keep_limits_together(found)
    _write(found)
    believed.forget()


@transaction.atomic
def _write(found: dict[str, Any]) -> None:
    speeds = {name: found.pop(key) for key, name in _LIMITS.items() if key in found}
    if speeds:
        limits.set_speed_limits(**speeds)
    now = dict(Preference.objects.filter(key__in=list(found)).values_list("key", "value"))
    changed = {key: value for key, value in found.items() if now.get(key, DEFAULTS[key]) != value}
    Preference.objects.bulk_create(
        [Preference(key=key, value=value) for key, value in changed.items()],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["value", "updated_at"],
    )


def keep(key: str, value: Any) -> None:
    """Set one that needs no reading."""
    Preference.objects.update_or_create(pk=key, defaults={"value": value})
    believed.forget()


def _keep_limits_together(found: dict[str, Any]) -> None:
    """A limit counts only beside its switch; one that is switched off is -1."""
    for switch, limit in LIMITS.items():
        if switch in found:
            value = found.get(limit, 0) if found[switch] else -1
            found[limit] = value if value >= 0 else -1
            found[switch] = value >= 0
        else:
            found.pop(limit, None)


def _fitting(key: str, value: Any) -> Any:
    """The value in the type of this key, None when it has none in it."""
    default = DEFAULTS[key]
    if isinstance(default, bool):
        return _as_bool(value)
    if isinstance(default, str):
        return _as_text(value)
    number = _as_number(value)
    if number is None:
        return None
    if key == "max_ratio":
        return number if -1 <= number <= 9999 else None
    low, high = RANGES.get(key, (-(2**31), 2**31 - 1))
    return min(max(int(number), low), high)


def _as_text(value: Any) -> str | None:
    """Nothing that a database could not store: no NUL, no half of a character."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return None
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) else None


def _as_number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = float(value) if "." in value else int(value[:20])
        except ValueError:
            return None
    if not isinstance(value, int | float) or not -(2**53) < value < 2**53:  # also not NaN
        return None
    return int(value) if value == int(value) else value
