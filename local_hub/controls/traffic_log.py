"""What came and went lately, by device, as ``edgeyard hub log`` prints it.

A bounded ring per device. Like things that follow each other on one connection, telemetry above all, share a line that
counts them, so that the log costs next to nothing and a busy device cannot push out what came before.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from iot_core.clock import Clock, iso
from iot_core.identity import Identity
from iot_core.json_types import JsonObject

__all__ = ["Recorder", "TrafficLog"]

LINES_PER_DEVICE = 64
DEVICES = 1000
"""With a ring: those that did something last."""
SHARED_S = 60.0
"""The time that one line may cover."""


@dataclass(kw_only=True, slots=True, eq=False)
class _Line:
    """``size`` is the bytes of all ``count`` of them."""

    first: float
    last: float
    door: str
    direction: str
    identity: str
    what: str
    size: int
    count: int
    result: str

    def document(self) -> JsonObject:
        return {
            "time": iso(self.first),
            "until": iso(self.last),
            "door": self.door,
            "direction": self.direction,
            "identity": self.identity,
            "what": self.what,
            "size": self.size,
            "count": self.count,
            "result": self.result,
        }


class TrafficLog:
    """The rings."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self._rings: OrderedDict[str, deque[_Line]] = OrderedDict()

    def recorder(self, door: str, identity: Identity | None) -> Recorder:
        """What writes the lines of one connection."""
        return Recorder(self, door, identity.path if identity else "", identity.device_id if identity else "")

    def note(self, door: str, identity: str, direction: str, what: str, size: int, result: str) -> None:
        """Write a line of its own, of something that belongs to no connection; identity "device[/module]" or ""."""
        now = self.now()
        self.add(identity.partition("/")[0], _line(now, door, direction, identity, what, size, result))

    def add(self, device: str, line: _Line) -> None:
        """Put a line at the end of a device's ring."""
        ring = self._rings.get(device)
        if ring is None:
            ring = self._rings[device] = deque(maxlen=LINES_PER_DEVICE)
            if len(self._rings) > DEVICES:
                self._rings.popitem(last=False)
        else:
            self._rings.move_to_end(device)
        ring.append(line)

    def lines(self, device: str | None, last: int) -> list[JsonObject]:
        """The last lines of one device, or of all and of the hub itself; the oldest first."""
        rings = list(self._rings.values()) if device is None else [self._rings.get(device, deque())]
        newest = merge(*(reversed(ring) for ring in rings), key=lambda line: line.first, reverse=True)
        return [line.document() for line in reversed(list(islice(newest, last)))]


class Recorder:
    """Writes the lines of one connection."""

    __slots__ = ("_device", "_door", "_identity", "_line", "_log")

    def __init__(self, log: TrafficLog, door: str, identity: str, device: str) -> None:
        self._log = log
        self._door = door
        self._identity = identity
        self._device = device
        self._line: _Line | None = None

    def note(self, direction: str, what: str, size: int, result: str, *, count: int = 1) -> None:
        """Something came ("in") or went ("out"); ``result`` is what the other side was told, or will be.

        ``size`` is the bytes of all ``count`` of them.
        """
        now, line = self._log.now(), self._line
        if line is not None and line.what == what and line.result == result and now - line.first < SHARED_S:
            line.last = now
            line.size += size
            line.count += count
            return
        self._line = _line(now, self._door, direction, self._identity, what, size, result, count)
        self._log.add(self._device, self._line)


def _line(
    now: float, door: str, direction: str, identity: str, what: str, size: int, result: str, count: int = 1
) -> _Line:
    return _Line(
        first=now,
        last=now,
        door=door,
        direction=direction,
        identity=identity,
        what=what,
        size=size,
        count=count,
        result=result,
    )
