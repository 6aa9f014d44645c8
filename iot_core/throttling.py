"""How IoT Hub slows a caller down: bursts pass, then requests are queued and slowed, then refused.

Source: IoT Hub documentation, "Quotas and throttling", traffic shaping: rates count over windows of a minute, so a hub
takes up to a minute's worth at once; what exceeds that waits in a queue, and what would wait too long gets 429.
"""

from __future__ import annotations

from iot_core.limits import Rate

__all__ = ["BACKLOG_S", "BUCKET_S", "METHOD_METER_BYTES", "Bucket", "metered"]

BUCKET_S = 60
"""A minute's worth may be saved up."""
BACKLOG_S = 10.0
"""The longest that a request waits in the queue; not documented, but what the text of the refusal asks a caller for."""
METHOD_METER_BYTES = 4096
"""Direct methods are counted in these, by their request payload alone."""


class Bucket:
    """The allowance of one class of operations; times are seconds of any clock that never goes backwards."""

    def __init__(self, rate: Rate, units: int, now: float) -> None:
        self._per_second = rate.allowance(units) / rate.window_s
        self._capacity = self._per_second * BUCKET_S
        self._level = self._capacity
        self._counted_at = now

    def reserve(self, now: float, amount: float = 1.0) -> float | None:
        """Take `amount` out and return how many seconds to wait first, mostly 0.0; None: refused, and nothing is taken.

        Callers are served in the order of their calls.
        """
        self._fill(now)
        wait = max(0.0, (amount - self._level) / self._per_second)
        if wait > BACKLOG_S and self._level < self._capacity:
            return None
        self._level -= amount
        return wait

    def take(self, now: float) -> bool:
        """Take one out if it is there: for callers that are refused where others are slowed."""
        self._fill(now)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._counted_at) * self._per_second)
        self._counted_at = now


def metered(size: int, meter: int) -> int:
    """How many units of `meter` bytes a payload counts as: at least one."""
    return max(1, -(-size // meter))
