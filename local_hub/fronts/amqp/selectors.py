"""Where a reader of an Event Hub begins, as its link says it (Event Hubs documentation, "AMQP 1.0 in Event Hubs").

The filter is text such as ``amqp.annotation.x-opt-offset > '12'``; names are those of the annotations, ``>=`` takes the
event named too. Without a filter a reader gets what is there from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from iot_core.amqp import Source
from iot_core.amqp.types import Described
from iot_core.hub_errors import hub_error
from local_hub.eventhub import EARLIEST, AfterOffset, AfterSequence, AfterTime, Position

__all__ = ["position_of"]

SELECTOR = "apache.org:selector-filter:string"
MOST_CHARACTERS = 1000
_EXPRESSION = re.compile(
    r"\s*amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=|>)\s*(?:'([^']*)'|(-?\d{1,18}|@latest))\s*", re.ASCII
)


def position_of(source: Source | None) -> Position:
    """HubError ArgumentInvalid for a filter that Event Hubs does not have."""
    filters = (source.filter if source else None) or {}
    found = [_text(value) for name, value in filters.items() if name == SELECTOR or _names_selector(value)]
    return _parse(found[0]) if found else EARLIEST


def _names_selector(value: Any) -> bool:
    return isinstance(value, Described) and value.descriptor in (SELECTOR, 0x468C00000004)


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Described) else value)


def _parse(text: str) -> Position:
    match = _EXPRESSION.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if match is None or match[1] not in _POSITIONS:
        raise hub_error("ArgumentInvalid", f"{text[:100]!r} is not a filter that Event Hubs has.")
    return _POSITIONS[match[1]](match[3] if match[3] is not None else match[4], match[2] == ">=")


def _offset(value: str, inclusive: bool) -> Position:
    return AfterOffset(offset=value, inclusive=inclusive)


def _sequence(value: str, inclusive: bool) -> Position:
    if value == "@latest":
        return AfterOffset(offset=value)
    return AfterSequence(number=_number(value), inclusive=inclusive)


def _time(value: str, inclusive: bool) -> Position:
    return AfterTime(time=_number(value) / 1000, inclusive=inclusive)


def _number(value: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        raise hub_error("ArgumentInvalid", f"{value[:40]!r} is not a whole number.")
    return int(value)


_POSITIONS: dict[str, Callable[[str, bool], Position]] = {
    "x-opt-offset": _offset,
    "x-opt-sequence-number": _sequence,
    "x-opt-enqueued-time": _time,
    # An older spelling of Event Hubs' own clients.
    "x-opt-enqueuedtimeutc": _time,
}
