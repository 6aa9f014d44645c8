"""Where a reader begins in a partition (Event Hubs documentation, "Event position").

Offsets are opaque text to clients; here an event's offset is its sequence number in decimal digits. "-1" is before the
first event, "@latest" behind the last one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from iot_core.clock import from_iso
from iot_core.errors import InputError

__all__ = [
    "EARLIEST",
    "LATEST",
    "AfterOffset",
    "AfterSequence",
    "AfterTime",
    "Position",
    "PositionError",
    "parse_position",
]

_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_BEFORE_ALL: Final = "-1"
_BEHIND_ALL: Final = "@latest"


class PositionError(InputError):
    """A place in a partition that cannot be understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterSequence:
    """Behind the event of that sequence number, or with it when ``inclusive``."""

    number: int
    inclusive: bool = False

    @property
    def first(self) -> int:
        return max(self.number + (not self.inclusive), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterOffset:
    """Behind the event of that offset, or with it when ``inclusive``; PositionError for what was never an offset."""

    offset: str
    inclusive: bool = False

    def __post_init__(self) -> None:
        if self.offset != _BEHIND_ALL and not _NUMBER.fullmatch(self.offset):
            raise PositionError(f"{self.offset[:40]!r} is no offset: use one of an event, '-1' or '@latest'")

    @property
    def sequence(self) -> AfterSequence | None:
        """The same place by sequence number; None is behind the last event."""
        if self.offset == _BEHIND_ALL:
            return None
        return AfterSequence(number=int(self.offset), inclusive=self.inclusive)


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterTime:
    """At the first event enqueued after that time (unix seconds), or at it when ``inclusive``."""

    time: float
    inclusive: bool = False


Position: TypeAlias = AfterSequence | AfterOffset | AfterTime

EARLIEST: Final = AfterOffset(offset=_BEFORE_ALL)
LATEST: Final = AfterOffset(offset=_BEHIND_ALL)


def parse_position(text: str) -> Position:
    """ "earliest", "latest", "offset:O", "sequence:N" or an ISO time; the event named is part of what is read.

    PositionError for anything else.
    """
    kind, _, value = text.partition(":")
    if text in ("earliest", "latest"):
        return EARLIEST if text == "earliest" else LATEST
    if kind == "offset":
        return AfterOffset(offset=value, inclusive=True)
    if kind == "sequence" and _NUMBER.fullmatch(value):
        return AfterSequence(number=int(value), inclusive=True)
    try:
        return AfterTime(time=from_iso(text), inclusive=True)
    except InputError:
        raise PositionError(
            f"{text[:40]!r} is no position: use earliest, latest, offset:TEXT, sequence:NUMBER or an ISO 8601 time"
        ) from None
