"""Event times: whole microseconds since 1970 in UTC, so that windows are aligned exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from iot_core.errors import MessageError

__all__ = ["EARLIEST", "LATEST", "LONGEST_S", "MICROS", "TimeFormat", "iso_of", "micros", "reader_of"]

TimeFormat = Literal["auto", "iso", "seconds", "milliseconds", "microseconds"]

MICROS = 1_000_000
LONGEST_S = 366 * 86_400  # Seconds; the longest window, gap and lateness.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
EARLIEST = (datetime(3, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST = (datetime(9997, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""Two of the longest windows inside what a date can be, so that no window's end leaves it."""

_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,9})?", re.ASCII)
# In `auto` a number is seconds below the first limit (the year 5138), milliseconds below the next, and so on.
_AUTO_LIMITS = ((1e11, MICROS), (1e14, 1_000), (1e17, 1))


def micros(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * MICROS)


@lru_cache(maxsize=256)  # all groups of a window share its bounds
def iso_of(time: int) -> str:
    """A time as IoT Hub prints times: "2026-01-01T00:00:00.1234560Z"."""
    moment = _EPOCH + timedelta(microseconds=time)
    return f"{moment.isoformat()[:19]}.{moment.microsecond:06d}0Z"


def reader_of(form: TimeFormat) -> Callable[[Any], int]:
    """What turns a JSON value (or the text of a property) into a time; it raises MessageError.

    Texts of `iso` without an offset are UTC; digits beyond microseconds are cut off. `auto` takes ISO 8601 texts, and
    numbers by their size: seconds, milliseconds, microseconds or nanoseconds.
    """
    return {
        "auto": _auto,
        "iso": _iso,
        "seconds": lambda value: _scaled(value, MICROS),
        "milliseconds": lambda value: _scaled(value, 1_000),
        "microseconds": lambda value: _scaled(value, 1),
    }[form]


def _auto(value: Any) -> int:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return _iso(value)
    number = _number(value)
    size = abs(number)
    for limit, scale in _AUTO_LIMITS:
        if size < limit:
            return _within(round(number * scale))
    return _within(int(number) // 1_000)


def _iso(value: Any) -> int:
    if not isinstance(value, str):
        raise MessageError(f"the time {_shown(value)} is not a text in ISO 8601")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise MessageError(f"the time {_shown(value)} is not in ISO 8601, such as 2026-01-01T00:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _within((moment - _EPOCH) // _MICROSECOND)


def _scaled(value: Any, scale: int) -> int:
    return _within(round(_number(value) * scale))


def _number(value: Any) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"the time {_shown(value)} is not a number")
    return value


def _within(time: int) -> int:
    if not EARLIEST <= time <= LATEST:
        raise MessageError(f"the time {time / MICROS:.6g} s is outside the years 3 to 9996")
    return time


def _shown(value: Any) -> str:
    return repr(value)[:40]
