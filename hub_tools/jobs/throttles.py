"""How long operations take at a hub's throttles, and what they cost of its daily quota: arithmetic, no I/O.

Source: IoT Hub documentation, "Quotas and throttling"; what counts as a message: "IoT Hub pricing information" (each
read or write of a twin, each call and each answer of a method and each message counts by the size of its payload, and
so does the answer of a query; this is from the documentation's text and was not seen on a bill).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hub_tools.jobs.timing import Pace, Timing
from iot_core import limits
from iot_core.errors import InputError
from iot_core.limits import TIERS, Rate, Tier

__all__ = ["Capacity", "Step", "Throttle", "duration", "query_pace", "slowest"]

Throttle = Literal[
    "twin updates", "twin reads", "job device operations", "job operations", "registry operations", "queries",
    "method bytes", "cloud-to-device sends",
]  # fmt: skip
_FORM = re.compile(r"([A-Za-z]\d)(?::(\d{1,4}))?")
QUERY_BURST = 5
METHOD_METER_BYTES = 4 * limits.KIB


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Operations under one throttle; `rate` per second, `why` the throttle's own terms."""

    throttle: Throttle
    operations: float
    rate: float
    why: str

    @property
    def seconds(self) -> float:
        """How long they take at least."""
        return self.operations / self.rate

    def __str__(self) -> str:
        rate = f"{self.rate:,.0f}/s" if self.rate >= 2 else f"{self.rate * 60:,.0f}/min"
        amount = f"{self.operations:,.0f} {self.throttle}"
        return f"{amount} ÷ {rate} ({self.why}) = {self.seconds:,.0f} s = {duration(self.seconds)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """A hub by tier and units, and the share of its throttles that a job may take."""

    tier: str
    units: int = 1
    share: float = 1.0

    @classmethod
    def parse(cls, text: str, *, share: float = 1.0) -> Capacity:
        """`S2:10` or `S1`; InputError for a tier or a number of units that there is not."""
        match = _FORM.fullmatch(text.strip())
        tier = match[1].upper() if match else ""
        if match is None or tier not in TIERS:
            raise InputError(f"--tier {text[:40]}: use one of {', '.join(TIERS)}, and units as in S2:10")
        units, most = int(match[2] or 1), TIERS[tier].most_units
        if not 1 <= units <= most:
            raise InputError(f"--tier {text}: a hub of tier {tier} has 1 to {most} units")
        return cls(tier=tier, units=units, share=share)

    def __str__(self) -> str:
        share = f", {self.share:.0%} of it" if self.share < 1 else ""
        return f"{self.tier} with {self.units} unit{'s' if self.units > 1 else ''}{share}"

    @property
    def concurrent_jobs(self) -> int:
        """Jobs that may wait or run at a time."""
        return self._tier.concurrent_jobs

    @property
    def daily_messages(self) -> int:
        """Messages a day, all units together."""
        return self._tier.daily_messages_per_unit * self.units

    def messages(self, payload_bytes: float) -> int:
        """As how many messages one operation with such a payload counts."""
        return max(1, math.ceil(payload_bytes / self._tier.message_meter_bytes))

    def rate(self, throttle: Throttle) -> float:
        """Operations (of methods: bytes) a second for a job."""
        rate = self._rates[throttle]
        return rate.allowance(self.units) / rate.window_s * self.share

    def step(self, throttle: Throttle, operations: float) -> Step:
        """So many operations under a throttle."""
        rate = self._rates[throttle]
        per = "s" if rate.window_s == 1 else "min"
        terms = [f"{rate.floor:g}/{per}"] if rate.floor else []
        terms += [f"{self.units} × {rate.per_unit:g}/{per}"] if rate.per_unit else []
        why = f"max({', '.join(terms)})" if len(terms) > 1 else terms[0]
        share = f" × {self.share:.0%}" if self.share < 1 else ""
        return Step(
            throttle=throttle, operations=operations, rate=self.rate(throttle), why=f"{self.tier}: {why}{share}"
        )

    @property
    def _tier(self) -> Tier:
        return TIERS[self.tier]

    @property
    def _rates(self) -> dict[Throttle, Rate]:
        tier = self._tier
        return {
            "twin updates": tier.twin_updates,
            "twin reads": tier.twin_reads,
            "job device operations": tier.job_device_operations,
            "job operations": tier.job_operations,
            "registry operations": tier.registry,
            "queries": tier.queries,
            "method bytes": tier.methods_bytes,
            "cloud-to-device sends": tier.cloud_to_device,
        }


def query_pace(capacity: Capacity | None, timing: Timing) -> Pace:
    """Turns to ask a query; a throttle that counts by the minute takes a few at once."""
    return Pace(capacity.rate("queries") if capacity else None, timing, burst=QUERY_BURST)


def slowest(steps: Iterable[Step]) -> Step:
    """The step that decides how long all of them take, side by side."""
    return max(steps, key=lambda step: step.seconds)


def duration(seconds: float) -> str:
    """`1 h 20 min`, `45 s`: the two largest parts."""
    if seconds < 1:
        return "under 1 s"
    parts = []
    left = round(seconds)
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
