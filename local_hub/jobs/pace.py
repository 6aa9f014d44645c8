"""How fast jobs may work through devices (IoT Hub documentation, "Quotas and throttling", jobs device operations)."""

from __future__ import annotations

from iot_core.clock import Clock
from local_hub.timing import until

__all__ = ["JobPace"]


class JobPace:
    """So many devices a second over all jobs, by the hub's clock; a second's worth may be saved up.

    ``per_second`` None: no limit.
    """

    def __init__(self, clock: Clock, per_second: float | None) -> None:
        self._clock = clock
        self._rate = per_second
        self._saved = per_second or 0.0
        self._counted_at = clock.monotonic()

    async def room(self, most: int, seconds: float) -> int:
        """Wait until devices may be worked on; how many, up to ``most``. 0 when ``seconds`` pass before."""
        if self._rate is None:
            return most
        await until(self._clock, self._clock.monotonic() + seconds, lambda: self._count() >= 1)
        return min(most, max(int(self._saved), 0))

    def spend(self, devices: int) -> None:
        """Note that devices were worked on."""
        self._saved -= devices

    def _count(self) -> float:
        now = self._clock.monotonic()
        if self._rate is not None:
            self._saved = min(self._saved + (now - self._counted_at) * self._rate, self._rate)
        self._counted_at = now
        return self._saved
