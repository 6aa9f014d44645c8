"""What stands between a request that has come in and the core: faults, the tier's throttles and the daily quota.

The fronts ask once for each thing that comes in: ``at_once`` for the many that nothing holds up, else ``admit``. A hub
without faults and throttles is ``idle``, which is all that a front looks at then.
"""

from __future__ import annotations

from collections.abc import Collection

from iot_core.clock import Clock
from iot_core.hub_errors import hub_error
from iot_core.limits import TIERS
from local_hub.config import HubConfig
from local_hub.controls.faults import FaultKind, Faults
from local_hub.controls.quota import DailyQuota
from local_hub.controls.throttles import Operation, Throttles, throttled
from local_hub.timing import until

__all__ = ["Admission"]

METERED: Collection[Operation] = frozenset(
    {
        Operation.DEVICE_TO_CLOUD,
        Operation.CLOUD_TO_DEVICE,
        Operation.METHOD,
        Operation.TWIN_READ,
        Operation.TWIN_UPDATE,
        Operation.QUERY,
    }
)
"""What counts as a message of the daily quota (Azure's page on prices)."""


class Admission:
    """See the module. ``throttles`` and ``quota`` are None in a hub that throttles nothing, the default."""

    def __init__(self, clock: Clock, config: HubConfig) -> None:
        self.faults = Faults(clock)
        self.throttles: Throttles | None = None
        self.quota: DailyQuota | None = None
        self._clock = clock
        if config.throttle:
            self.throttles = Throttles(clock, TIERS[config.tier], config.units)
            self.quota = DailyQuota(clock, TIERS[config.tier], config.units)

    @property
    def idle(self) -> bool:
        """Whether everything may pass without being asked about."""
        return self.throttles is None and not self.faults.active

    async def admit(self, device: str | None, operation: Operation | None, size: int = 0) -> None:
        """Wait for as long as the request has to.

        ``device`` None: what concerns no single device; ``operation`` None: what no throttle counts. HubError
        ThrottlingBacklogTimeout or IotHubQuotaExceeded; LostError: act as if it had never come; CutError: hang up.
        """
        if self.faults.active:
            await self.faults.pass_by(device)
            if self.faults.strikes(FaultKind.THROTTLE, device):
                raise throttled(operation)
        if operation is None or self.throttles is None:
            return
        wait = self.throttles.reserve(operation, size)
        if wait is None:
            raise throttled(operation)
        if operation in METERED and self.quota is not None and (refusal := self.quota.charge(size)):
            raise refusal
        if wait:
            await until(self._clock, self._clock.monotonic() + wait)

    async def admit_login(self, device: str | None) -> None:
        """Like ``admit`` for a new connection; HubError IotHubUnauthorized too."""
        self.check_login(device)
        await self.admit(device, Operation.CONNECTION)

    def check_login(self, device: str | None) -> None:
        """HubError IotHubUnauthorized while log-ins are refused by a fault; for each request where there are no
        connections to log in.
        """
        if self.faults.active and self.faults.strikes(FaultKind.REFUSE, device):
            text = "Authentication failed for this device, renew token or certificate and reconnect"
            raise hub_error("IotHubUnauthorized", text)
