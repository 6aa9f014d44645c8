"""The one seam for time: whoever needs the time is handed a `Clock`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from iot_core.errors import InputError

__all__ = ["UNSET_TIME", "Clock", "ManualClock", "SystemClock", "from_iso", "iso"]

UNSET_TIME = "0001-01-01T00:00:00Z"
"""How a twin prints a time that never came (identities print it without the Z)."""

_TICKS_PER_SECOND = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)


class Clock(Protocol):
    """Tells the time; two calls never go backwards in `monotonic`."""

    def now(self) -> float:
        """Unix seconds, UTC."""

    def monotonic(self) -> float:
        """Seconds from an unknown start, for measuring how long something took."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is advanced, for tests and for time travel."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = float(start)
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves both times on; raises InputError for a step backwards."""
        if seconds < 0:
            raise InputError(f"a clock cannot be advanced by {seconds} s: only forwards")
        self._now += seconds
        self._monotonic += seconds


def iso(timestamp: float) -> str:
    """Unix seconds as IoT Hub prints them: "2026-01-01T00:00:00.1234567Z", seven digits, UTC."""
    seconds, ticks = divmod(round(timestamp * _TICKS_PER_SECOND), _TICKS_PER_SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    return (
        f"{moment:%Y-%m-%dT%H:%M:%S}.{ticks:07d}Z" if moment.year >= 1000 else f"{moment.isoformat()[:19]}.{ticks:07d}Z"
    )


def from_iso(text: str) -> float:
    """Unix seconds of an ISO 8601 time with 0 to 9 digits of fraction; without an offset it is UTC.

    Raises InputError for anything else.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise InputError(f"{text[:40]!r} is not an ISO 8601 time such as 2026-01-01T00:00:00Z")
    day, hour, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}{(offset or '+00:00').replace('Z', '+00:00')}")
    except ValueError as error:
        raise InputError(f"{text!r} is not a time: {error}") from None
    return (moment - _EPOCH).total_seconds() + float(f"0.{fraction or 0}")
