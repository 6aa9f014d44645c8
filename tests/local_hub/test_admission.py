"""Throttles, the daily quota and faults, as the fronts meet them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from local_hub.config import HubConfig
from local_hub.controls.admission import Admission
from local_hub.controls.faults import FaultKind
from local_hub.controls.throttles import Operation


def admission_of(clock: ManualClock, tier: str = "S1", units: int = 1) -> Admission:
    return Admission(clock, HubConfig(home=Path("unused"), tier=tier, units=units, throttle=True))


def at_once(admission: Admission, operation: Operation, size: int = 0) -> int:
    """How many operations pass before one has to wait."""
    assert admission.throttles is not None
    count = 0
    while admission.throttles.reserve(operation, size) == 0:
        count += 1
    return count


@pytest.mark.parametrize(
    ("operation", "tier", "units", "a_minute"),
    [
        (Operation.REGISTRY_READ, "S1", 1, 100),
        (Operation.REGISTRY_WRITE, "S3", 2, 10_000),
        (Operation.CONNECTION, "S1", 1, 6_000),
        (Operation.DEVICE_TO_CLOUD, "S2", 1, 7_200),
        (Operation.CLOUD_TO_DEVICE, "S1", 10, 1_000),
        (Operation.CLOUD_TO_DEVICE_RECEIVE, "F1", 1, 1_000),
        (Operation.QUERY, "S2", 10, 200),
        (Operation.TWIN_READ, "S1", 5, 6_000),
        (Operation.TWIN_UPDATE, "S2", 20, 6_000),
        (Operation.JOB, "S1", 1, 100),
        (Operation.UPLOAD, "S1", 3, 300),
        (Operation.CONFIGURATION_WRITE, "S3", 10, 200),
    ],
)
def test_each_class_has_the_rate_of_its_tier_and_units(
    clock: ManualClock, operation: Operation, tier: str, units: int, a_minute: int
) -> None:
    assert at_once(admission_of(clock, tier, units), operation) == a_minute


@pytest.mark.parametrize(("size", "calls"), [(0, 2400), (4096, 2400), (4097, 1200), (128 * 1024, 75)])
def test_methods_are_metered_in_4_kb_of_request_payload(clock: ManualClock, size: int, calls: int) -> None:
    assert at_once(admission_of(clock), Operation.METHOD, size) == calls


def test_reads_and_writes_of_the_registry_share_a_rate(clock: ManualClock) -> None:
    admission = admission_of(clock)
    assert at_once(admission, Operation.REGISTRY_READ) == 100
    assert at_once(admission, Operation.REGISTRY_WRITE) == 0


async def test_what_is_over_the_rate_waits_and_then_is_refused_as_the_service_does(clock: ManualClock) -> None:
    admission = admission_of(clock)
    for _ in range(20):
        await admission.admit(None, Operation.QUERY)
    waiting = [asyncio.create_task(admission.admit(None, Operation.QUERY)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(HubError) as caught:
        await admission.admit(None, Operation.QUERY)
    assert (caught.value.status, caught.value.code, caught.value.name) == (429, 429003, "ThrottlingBacklogTimeout")
    assert caught.value.message == (
        "The request has been throttled. Wait 10 seconds and try again. Operation type: Query"
    )
    clock.advance(3.1)
    await asyncio.wait_for(waiting[0], 1)
    assert not waiting[1].done()
    clock.advance(7)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


async def test_the_daily_quota_is_refused_until_utc_midnight_of_the_hubs_clock(clock: ManualClock) -> None:
    admission = admission_of(clock, "F1")
    clock.advance(3600)
    assert admission.quota is not None
    # Counted in halves of a KiB on the free tier; the message that begins below the limit passes.
    assert admission.quota.charge(7_999 * 512) is None
    await admission.admit("d", Operation.DEVICE_TO_CLOUD, 1500)
    assert admission.quota.used == 8_002
    with pytest.raises(HubError) as caught:
        await admission.admit("d", Operation.TWIN_READ)
    assert (caught.value.status, caught.value.code) == (403, 403002)
    await admission.admit("d", Operation.REGISTRY_READ)
    clock.advance(23 * 3600 - 1)
    with pytest.raises(HubError):
        await admission.admit("d", Operation.DEVICE_TO_CLOUD)
    clock.advance(1)
    await admission.admit("d", Operation.DEVICE_TO_CLOUD)


async def test_nothing_is_throttled_by_default(clock: ManualClock) -> None:
    admission = Admission(clock, HubConfig(home=Path("unused")))
    assert admission.idle
    for _ in range(10_000):
        await admission.admit("d", Operation.QUERY)


async def test_a_throttle_fault_refuses_in_the_same_shape(clock: ManualClock) -> None:
    admission = Admission(clock, HubConfig(home=Path("unused")))
    admission.faults.add(FaultKind.THROTTLE, "d1")
    assert not admission.idle
    with pytest.raises(HubError) as caught:
        await admission.admit("d1", Operation.TWIN_UPDATE)
    assert caught.value.name == "ThrottlingBacklogTimeout"
    await admission.admit("d2", Operation.TWIN_UPDATE)


async def test_a_refuse_fault_refuses_log_ins_alone(clock: ManualClock) -> None:
    admission = Admission(clock, HubConfig(home=Path("unused")))
    admission.faults.add(FaultKind.REFUSE, "d1")
    with pytest.raises(HubError) as caught:
        await admission.admit_login("d1")
    assert (caught.value.status, caught.value.code) == (401, 401003)
    await admission.admit("d1", Operation.DEVICE_TO_CLOUD)
    await admission.admit_login("d2")
