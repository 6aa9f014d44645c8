"""The switchboard of faults: what goes wrong on purpose, for one device and its modules or for all.

No real hub has it. The fronts ask here for each thing that comes in or goes out, and only while ``active`` is true; the
admin door throws the switches. Times run by the hub's clock.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from iot_core.clock import Clock, iso
from iot_core.errors import EdgeyardError, InputError
from iot_core.json_types import JsonObject
from local_hub.timing import until

__all__ = ["CutError", "Fault", "FaultKind", "Faults", "LostError"]

DELAY_MAX_S = 300.0
"""Longer than any client waits."""
_FOREVER = float("inf")


class FaultKind(enum.StrEnum):
    """What goes wrong."""

    DROP = "drop"
    """What a device or the hub sends vanishes: no effect, no acknowledgement. Over HTTPS the connection ends without an
    answer."""
    UNANSWERED = "unanswered"
    """A request over HTTPS has its effect, and the connection ends before the answer."""
    STALL = "stall"
    """Nothing that comes in is looked at, and nothing goes out to the device, until the fault ends."""
    DELAY = "delay"
    """What comes in, and what the hub sends of its own accord, waits."""
    REFUSE = "refuse"
    """Log-ins are refused as with a wrong key; over HTTPS each request is a log-in."""
    THROTTLE = "throttle"
    """429: requests and log-ins are refused as by a hub that is over its rates."""
    DISCONNECT = "disconnect"
    """The connection is cut, now and whenever the device sends something."""
    TAKEOVER = "takeover"
    """Another connection of the same identity takes over, now and whenever the device has logged in."""


ONCE = frozenset({FaultKind.DISCONNECT, FaultKind.TAKEOVER})
"""Those that happen at once, and stay only when a time is given."""


class LostError(EdgeyardError):
    """What came in is to vanish."""


class CutError(EdgeyardError):
    """The connection is to be cut."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thrown switch. ``device`` None: all; ``rate`` is the share of the cases it strikes; ``ends`` by
    ``Clock.monotonic``.
    """

    number: int
    kind: FaultKind
    device: str | None
    rate: float
    delay_s: float
    ends: float

    def document(self, clock: Clock) -> JsonObject:
        """As the admin door prints it."""
        left = self.ends - clock.monotonic()
        return {
            "number": self.number,
            "kind": self.kind.value,
            "device": self.device,
            "rate": self.rate,
            **({"delayMs": round(self.delay_s * 1000)} if self.kind is FaultKind.DELAY else {}),
            "ends": None if self.ends == _FOREVER else iso(clock.now() + left),
        }


class Faults:
    """See the module. ``active`` is false while no switch is thrown."""

    def __init__(self, clock: Clock, chance: random.Random | None = None) -> None:
        self.active = False
        self._clock = clock
        self._chance = chance or random.Random()
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)
        self._late: set[asyncio.Task[None]] = set()

    def add(
        self,
        kind: FaultKind,
        device: str | None,
        *,
        rate: float = 1.0,
        delay_s: float = 0.0,
        for_s: float | None = None,
    ) -> Fault:
        """Throw a switch until ``clear``, or for so many seconds; one of ``ONCE`` is not kept without. InputError."""
        if not 0 < rate <= 1:
            raise InputError(f"a fault cannot strike at a rate of {rate}: use more than 0 and at most 1")
        if for_s is not None and not 0 < for_s < _FOREVER:
            raise InputError(f"a fault cannot last {for_s} s: use more than 0")
        if (kind is FaultKind.DELAY) != (delay_s > 0) or not 0 <= delay_s <= DELAY_MAX_S:
            raise InputError(f"a delay, and no other fault, needs a time of up to {DELAY_MAX_S:.0f} s")
        ends = _FOREVER if for_s is None else self._clock.monotonic() + for_s
        fault = Fault(number=next(self._numbers), kind=kind, device=device, rate=rate, delay_s=delay_s, ends=ends)
        if kind not in ONCE or for_s is not None:
            self._faults = [*self._faults, fault]
            self.active = True
        return fault

    def list(self) -> list[Fault]:
        """The switches that are thrown, the oldest first."""
        now = self._clock.monotonic()
        self._faults = [fault for fault in self._faults if fault.ends > now]
        self.active = bool(self._faults)
        return self._faults

    def clear(self, device: str | None = None) -> int:
        """Take back the faults of one device, or with None all there are; how many."""
        before = self.list()
        self._faults = [fault for fault in before if device is not None and fault.device != device]
        self.active = bool(self._faults)
        return len(before) - len(self._faults)

    def strikes(self, kind: FaultKind, device: str | None) -> Fault | None:
        """The fault of that kind that strikes now, if one does; from any thread. ``device`` None: what concerns no
        device.
        """
        now = self._clock.monotonic()
        for fault in self._faults:
            covers = fault.ends > now and fault.device in (None, device)
            if fault.kind is kind and covers and (fault.rate == 1 or self._chance.random() < fault.rate):
                return fault
        return None

    async def pass_by(self, device: str | None) -> None:
        """Hold what came in for as long as faults want it held; LostError, CutError."""
        self.list()
        if fault := self.strikes(FaultKind.STALL, device):
            # Ends by itself, or by ``clear``.
            await until(self._clock, fault.ends, lambda: fault not in self._faults)
        if fault := self.strikes(FaultKind.DELAY, device):
            await until(self._clock, self._clock.monotonic() + fault.delay_s)
        if self.strikes(FaultKind.DROP, device):
            raise LostError("dropped by a fault")
        if self.strikes(FaultKind.DISCONNECT, device):
            raise CutError("cut by a fault")

    def let_go(self, device: str | None, send: Callable[[], object]) -> bool:
        """Call ``send`` now, later or never, as faults want; whether it is or will be called."""
        wait = self.outgoing(device) if self.active else 0.0
        if wait:
            task = asyncio.create_task(self._send_later(wait, send))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        elif wait is not None:
            send()
        return wait is not None

    async def stop(self) -> None:
        """Send nothing any more of what waits."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send_later(self, wait: float, send: Callable[[], object]) -> None:
        await until(self._clock, self._clock.monotonic() + wait)
        send()

    def outgoing(self, device: str | None) -> float | None:
        """How many seconds what goes out to a device has to wait, mostly 0.0; None: it vanishes."""
        if self.strikes(FaultKind.DROP, device) or self.strikes(FaultKind.STALL, device):
            return None
        fault = self.strikes(FaultKind.DELAY, device)
        return fault.delay_s if fault else 0.0
