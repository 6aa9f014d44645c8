"""Faults and throttles of the provisioning service."""

from __future__ import annotations

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from local_hub.controls.faults import CutError, FaultKind, Faults, LostError
from local_hub.dps.admission import Kind, ProvisioningAdmission, kind_of


@pytest.fixture
def faults(clock: ManualClock) -> Faults:
    return Faults(clock)


def throttling(clock: ManualClock) -> ProvisioningAdmission:
    return ProvisioningAdmission(clock, Faults(clock), throttle=True)


async def passes(admission: ProvisioningAdmission, kind: Kind, registration_id: str | None = None) -> int:
    """How many requests pass before one is refused."""
    refusals: list[HubError] = []
    count = -1
    while not refusals:
        count += 1
        try:
            await admission.admit(registration_id, kind)
        except HubError as error:
            refusals.append(error)
    assert (refusals[0].status, refusals[0].code) == (429, 429001)
    return count


@pytest.mark.parametrize("kind", [Kind.REGISTRATION, Kind.OPERATION])
async def test_a_thousand_a_minute_pass_and_the_next_is_refused_at_once(clock: ManualClock, kind: Kind) -> None:
    admission = throttling(clock)
    assert await passes(admission, kind) == 1000
    clock.advance(6)
    assert await passes(admission, kind) == 100


async def test_a_device_polls_five_times_in_ten_seconds(clock: ManualClock) -> None:
    admission = throttling(clock)
    assert await passes(admission, Kind.POLL, "a") == 5
    assert await passes(admission, Kind.POLL, "b") == 5
    clock.advance(10)
    assert await passes(admission, Kind.POLL, "a") == 5


async def test_nothing_is_throttled_unless_it_is_wanted(clock: ManualClock, faults: Faults) -> None:
    admission = ProvisioningAdmission(clock, faults, throttle=False)
    assert admission.idle
    for _ in range(2000):
        await admission.admit("a", Kind.REGISTRATION)


@pytest.mark.parametrize(
    ("kind", "error"),
    [(FaultKind.DROP, LostError), (FaultKind.DISCONNECT, CutError), (FaultKind.THROTTLE, HubError)],
)
async def test_faults_strike_the_registration_they_name(
    clock: ManualClock, faults: Faults, kind: FaultKind, error: type[Exception]
) -> None:
    admission = ProvisioningAdmission(clock, faults, throttle=False)
    faults.add(kind, "a", for_s=60)
    with pytest.raises(error):
        await admission.admit("a", Kind.REGISTRATION)
    await admission.admit("b", Kind.REGISTRATION)


def test_a_refuse_fault_is_a_wrong_key(clock: ManualClock, faults: Faults) -> None:
    admission = ProvisioningAdmission(clock, faults, throttle=False)
    faults.add(FaultKind.REFUSE, "a")
    with pytest.raises(HubError) as caught:
        admission.check_login("a")
    assert caught.value.status == 401
    admission.check_login("b")


@pytest.mark.parametrize(
    ("verb", "registration_id", "kind"),
    [("PUT", "a", Kind.REGISTRATION), ("GET", "a", Kind.POLL), ("POST", "a", Kind.POLL), ("PUT", None, Kind.OPERATION)],
)
def test_what_a_request_counts_as(verb: str, registration_id: str | None, kind: Kind) -> None:
    assert kind_of(verb, registration_id) is kind
