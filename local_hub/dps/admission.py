"""What stands between a request to the provisioning service and its core: faults, and its own throttles.

Its rates are the service's, whatever the hub's tier (DPS documentation, "Quotas and limits"); over them it refuses at
once, where IoT Hub slows first. A fault of a device is that of its registration id.
"""

from __future__ import annotations

import enum
from collections import OrderedDict

from iot_core.clock import Clock
from iot_core.dps import provisioning_error
from iot_core.errors import HubError
from iot_core.limits import PROVISIONING_OPERATIONS, PROVISIONING_POLLS, PROVISIONING_REGISTRATIONS
from iot_core.throttling import Bucket
from local_hub.controls.faults import FaultKind, Faults
from local_hub.dps.attestation import unauthorized

__all__ = ["Kind", "ProvisioningAdmission", "kind_of"]

MOST_POLLERS = 10_000
"""Registrations whose polls are counted: those that polled last."""


class Kind(enum.Enum):
    """What is counted together."""

    REGISTRATION = "registration"
    POLL = "poll"
    OPERATION = "operation"
    """What services do with enrolments and registrations."""


class ProvisioningAdmission:
    """``throttle``: whether the rates hold."""

    def __init__(self, clock: Clock, faults: Faults, *, throttle: bool) -> None:
        self._clock = clock
        self._faults = faults
        self._throttle = throttle
        now = clock.monotonic()
        self._registrations = Bucket(PROVISIONING_REGISTRATIONS, 1, now)
        self._operations = Bucket(PROVISIONING_OPERATIONS, 1, now)
        self._pollers: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def idle(self) -> bool:
        """Whether everything may pass without being asked about."""
        return not self._throttle and not self._faults.active

    def check_login(self, registration_id: str | None) -> None:
        """HubError Unauthorized while log-ins are refused by a fault."""
        if self._faults.active and self._faults.strikes(FaultKind.REFUSE, registration_id):
            raise unauthorized()

    async def hold(self, registration_id: str | None) -> None:
        """Hold what has come in for as long as faults want it held; LostError, CutError."""
        if self._faults.active:
            await self._faults.pass_by(registration_id)

    async def admit(self, registration_id: str | None, kind: Kind) -> None:
        """Let one request pass; HubError ThrottlingException, and as for ``hold``."""
        await self.hold(registration_id)
        struck = self._faults.active and self._faults.strikes(FaultKind.THROTTLE, registration_id)
        if struck or (self._throttle and not self._within_rates(registration_id, kind)):
            raise _throttled()

    def _within_rates(self, registration_id: str | None, kind: Kind) -> bool:
        now = self._clock.monotonic()
        if kind is Kind.POLL:
            return self._may_poll(registration_id or "", now)
        bucket = self._registrations if kind is Kind.REGISTRATION else self._operations
        return bucket.take(now)

    def _may_poll(self, registration_id: str, now: float) -> bool:
        polls = self._pollers.setdefault(registration_id, [])
        self._pollers.move_to_end(registration_id)
        if len(self._pollers) > MOST_POLLERS:
            self._pollers.popitem(last=False)
        polls[:] = [time for time in polls if time > now - PROVISIONING_POLLS.window_s]
        if len(polls) >= PROVISIONING_POLLS.per_unit:
            return False
        polls.append(now)
        return True


def kind_of(verb: str, registration_id: str | None) -> Kind:
    """What an HTTP request is; ``registration_id`` is that of the device that makes it, None for a service's."""
    if registration_id is None:
        return Kind.OPERATION
    return Kind.REGISTRATION if verb == "PUT" else Kind.POLL


def _throttled() -> HubError:
    return provisioning_error("ThrottlingException", "Operations are being throttled for this tenant.")
