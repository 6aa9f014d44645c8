"""The one seam for time: whoever needs the time is handed a `Clock`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from iot_core.errors import InputError

__all__ = ["UNSET_TIME", "Clock", "ManualClock", "OffsetClock", "SystemClock", "from_iso", "iso"]

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

    def watch(self, moved: Callable[[], None]) -> Callable[[], None]:
        """Calls `moved` whenever the clock is moved by hand, until what this returns is called; `moved` must not raise.

        Time that passes by itself is no move.
        """


class SystemClock:
    """The machine's clock, which nobody here moves."""

    # Not wrapped: they are called for every message.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def watch(self, moved: Callable[[], None]) -> Callable[[], None]:
        return _nothing


class _Watched:
    """Tells those who watch of a move, in the order in which they began to."""

    def __init__(self) -> None:
        self._watchers: dict[object, Callable[[], None]] = {}

    def watch(self, moved: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._watchers[token] = moved

        def forget() -> None:
            self._watchers.pop(token, None)

        return forget

    def _tell(self) -> None:
        for moved in list(self._watchers.values()):
            moved()


class ManualClock(_Watched):
    """A clock that stands still until it is advanced, for tests."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = float(start)
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves both times on; raises InputError for a step backwards."""
        _check_forwards(seconds)
        self._now += seconds
        self._monotonic += seconds
        self._tell()


class OffsetClock(_Watched):
    """A clock that runs with another and may be set ahead of it; `monotonic` never goes backwards, not by `reset`."""

    def __init__(self, base: Clock) -> None:
        super().__init__()
        self._base_now = base.now
        self._base_monotonic = base.monotonic
        self._offset = 0.0
        self._advanced = 0.0

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead of the other."""
        return self._offset

    def now(self) -> float:
        return self._base_now() + self._offset

    def monotonic(self) -> float:
        return self._base_monotonic() + self._advanced

    def advance(self, seconds: float) -> None:
        """Moves both times on; raises InputError for a step backwards."""
        _check_forwards(seconds)
        self._offset += seconds
        self._advanced += seconds
        self._tell()

    def reset(self) -> None:
        """Tells the other clock's time again; what happened meanwhile keeps its times."""
        self._offset = 0.0
        self._tell()


def _nothing() -> None:
    """A clock that is never moved has nobody to forget."""


def _check_forwards(seconds: float) -> None:
    # Written so that it holds for what is no number (NaN) too.
    if not 0 <= seconds < float("inf"):
        raise InputError(f"a clock cannot be advanced by {seconds} s: only forwards")


@lru_cache(maxsize=64)  # one write stamps many twins with one moment
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
