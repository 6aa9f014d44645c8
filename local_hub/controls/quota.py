"""The daily message quota (IoT Hub documentation, "Quotas and throttling" and "Troubleshoot error codes", 403002)."""

from __future__ import annotations

from iot_core.clock import Clock
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.limits import Tier
from iot_core.throttling import metered

__all__ = ["DailyQuota"]

_DAY_S = 24 * 3600


class DailyQuota:
    """So many messages a day for all units together, in units of the tier's meter; a day ends at UTC midnight of the
    hub's clock.
    """

    def __init__(self, clock: Clock, tier: Tier, units: int) -> None:
        self._clock = clock
        self._meter = tier.message_meter_bytes
        self.day = 0
        """Counted from 1970-01-01; ``used`` belongs to it."""
        self.allowed = tier.daily_messages_per_unit * units
        self.used = 0

    def charge(self, size: int) -> HubError | None:
        """Count a message of ``size`` bytes; the refusal instead when the day's messages are used up."""
        day = int(self._clock.now() // _DAY_S)
        if day != self.day:
            self.day, self.used = day, 0
        if self.used >= self.allowed:
            text = "Total number of messages on IotHub exceeded the allocated quota. Max allowed message count"
            return hub_error("IotHubQuotaExceeded", f"{text}: {self.allowed}")
        self.used += metered(size, self._meter)
        return None
