from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import InputError
from local_hub.controls.faults import CutError, FaultKind, Faults, LostError


@pytest.fixture
def faults(clock: ManualClock) -> Faults:
    return Faults(clock, random.Random(4))


def test_a_switchboard_without_faults_is_not_active(faults: Faults) -> None:
    assert not faults.active
    faults.add(FaultKind.DROP, "d1")
    assert faults.active
    faults.clear()
    assert not faults.active


@pytest.mark.parametrize(
    ("of", "device", "strikes"),
    [("d1", "d1", True), ("d1", "d2", False), ("d1", None, False), (None, "d2", True), (None, None, True)],
)
def test_a_fault_is_of_one_device_or_of_all(faults: Faults, of: str | None, device: str | None, strikes: bool) -> None:
    faults.add(FaultKind.THROTTLE, of)
    assert (faults.strikes(FaultKind.THROTTLE, device) is not None) is strikes
    assert faults.strikes(FaultKind.DROP, device) is None


def test_a_rate_is_the_share_of_the_cases(faults: Faults) -> None:
    faults.add(FaultKind.DROP, None, rate=0.1)
    struck = sum(faults.strikes(FaultKind.DROP, "d") is not None for _ in range(2000))
    assert 150 < struck < 250


def test_a_fault_with_a_time_ends_by_the_hubs_clock(faults: Faults, clock: ManualClock) -> None:
    faults.add(FaultKind.REFUSE, "d1", for_s=30)
    clock.advance(29.9)
    assert faults.strikes(FaultKind.REFUSE, "d1")
    clock.advance(0.1)
    assert faults.strikes(FaultKind.REFUSE, "d1") is None
    assert faults.list() == []
    assert not faults.active


def test_clearing_a_device_leaves_the_others(faults: Faults) -> None:
    faults.add(FaultKind.DROP, "d1")
    faults.add(FaultKind.STALL, "d1")
    faults.add(FaultKind.DROP, "d2")
    assert faults.clear("d1") == 2
    assert [fault.device for fault in faults.list()] == ["d2"]


@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.TAKEOVER])
def test_what_happens_at_once_stays_only_with_a_time(faults: Faults, kind: FaultKind) -> None:
    faults.add(kind, "d1")
    assert faults.list() == []
    faults.add(kind, "d1", for_s=10)
    assert len(faults.list()) == 1


@pytest.mark.parametrize(
    "options",
    [{"rate": 0.0}, {"rate": 1.5}, {"for_s": 0.0}, {"for_s": float("inf")}, {"delay_s": 1.0}],
)
def test_bad_faults_are_refused(faults: Faults, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        faults.add(FaultKind.DROP, None, **options)
    assert not faults.active


@pytest.mark.parametrize("delay_s", [0.0, 301.0])
def test_a_delay_needs_a_time_that_a_client_can_wait(faults: Faults, delay_s: float) -> None:
    with pytest.raises(InputError, match="delay"):
        faults.add(FaultKind.DELAY, None, delay_s=delay_s)


@pytest.mark.parametrize(("kind", "error"), [(FaultKind.DROP, LostError), (FaultKind.DISCONNECT, CutError)])
async def test_what_comes_in_is_lost_or_ends_the_connection(
    faults: Faults, kind: FaultKind, error: type[Exception]
) -> None:
    faults.add(kind, "d1", for_s=10)
    with pytest.raises(error):
        await faults.pass_by("d1")
    await faults.pass_by("d2")


async def test_a_delay_is_waited_by_the_hubs_clock(faults: Faults, clock: ManualClock) -> None:
    faults.add(FaultKind.DELAY, "d1", delay_s=250)
    task = asyncio.create_task(faults.pass_by("d1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(250)
    await asyncio.wait_for(task, 1)


@pytest.mark.parametrize("end", [lambda faults, clock: faults.clear(), lambda faults, clock: clock.advance(60)])
async def test_what_is_stalled_goes_on_when_the_fault_ends(faults: Faults, clock: ManualClock, end: Any) -> None:
    faults.add(FaultKind.STALL, "d1", for_s=60)
    task = asyncio.create_task(faults.pass_by("d1"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    end(faults, clock)
    await asyncio.wait_for(task, 1)


@pytest.mark.parametrize(
    ("kind", "delay_s", "wait"),
    [(FaultKind.DROP, 0.0, None), (FaultKind.STALL, 0.0, None), (FaultKind.DELAY, 2.0, 2.0)],
)
def test_what_goes_out_vanishes_or_waits(faults: Faults, kind: FaultKind, delay_s: float, wait: float | None) -> None:
    assert faults.outgoing("d1") == 0.0
    faults.add(kind, "d1", delay_s=delay_s)
    assert faults.outgoing("d1") == wait
    assert faults.outgoing("d2") == 0.0
