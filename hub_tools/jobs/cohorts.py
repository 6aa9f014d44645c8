"""Which devices are in which wave: by a hash of the device id and a salt, so that anybody finds the same ones again."""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iot_core.errors import InputError

__all__ = ["Wave", "bounds", "ends", "parse_waves", "ranked", "targets"]

LAST = "f" * 16
"""The bound of a wave that takes all devices, also those that come to match later."""
_WAVE = re.compile(r"(\d+(?:\.\d+)?)(%?)")


@dataclass(frozen=True, kw_only=True)
class Wave:
    """How many devices have the change when the wave is over, the earlier waves' included: a count or per cent."""

    count: int | None = None
    percent: float | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.percent is None):
            raise InputError("a wave is a number of devices or per cent: give one")
        if self.count is not None and self.count < 1:
            raise InputError(f"a wave of {self.count} devices: write 1 or more")
        if self.percent is not None and not 0 < self.percent <= 100:
            raise InputError(f"a wave of {self.percent:g} %: write more than 0 and up to 100")

    def __str__(self) -> str:
        return f"{self.count}" if self.count is not None else f"{self.percent:g}%"

    def target(self, matched: int) -> int:
        """Devices that have the change when the wave is over, of so many."""
        if self.count is not None:
            return min(self.count, matched)
        return min(matched, math.ceil(matched * (self.percent or 0) / 100))


def parse_waves(text: str) -> tuple[Wave, ...]:
    """`5,10%,50%,100%` as waves; InputError."""
    return tuple(_wave(part.strip()) for part in text.split(","))


def ranked(devices: Iterable[str], salt: str) -> list[str]:
    """The devices in the order in which waves take them: the same for the same salt, whatever the order given."""
    return sorted(devices, key=lambda name: (_place(name, salt), name))


def targets(waves: Sequence[Wave], matched: int) -> list[int]:
    """Devices that have the change after each wave; never fewer than after the wave before."""
    found: list[int] = []
    for wave in waves:
        found.append(max(wave.target(matched), found[-1] if found else 0))
    return found


def bounds(waves: Sequence[Wave], order: Sequence[str], salt: str) -> tuple[str, ...]:
    """The cohorts of devices in their order: for each wave the place of the last device that has the change after it.

    With the salt they say for every device, also for one that comes to match later, in which wave it is.
    """
    last = targets(waves, len(order))
    return tuple(LAST if end == len(order) else _place(order[end - 1], salt) for end in last)


def ends(order: Sequence[str], salt: str, bounds: Sequence[str]) -> list[int]:
    """How many of the devices, in their order, have the change after each wave of such cohorts."""
    places = [_place(name, salt) for name in order]
    return [bisect_right(places, bound) for bound in bounds]


def _place(device_id: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}\0{device_id}".encode()).hexdigest()[: len(LAST)]


def _wave(text: str) -> Wave:
    match = _WAVE.fullmatch(text)
    if match is None or (not match[2] and "." in match[1]):
        raise InputError(f"--waves: {text!r} is neither a number of devices nor per cent such as 10%")
    return Wave(percent=float(match[1])) if match[2] else Wave(count=int(match[1]))
