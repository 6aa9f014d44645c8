"""What counts as success of a device, and when waiting ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from hub_tools.service import HubService
from hub_tools.stacks.waiting import Scope, WaitReport, WaitRules, wait_for_success

APPLIED = {"new": {"status": "Applied"}}
TARGETED = {"new": {"status": "Targeted"}}


class FakeHub:
    """Answers each query for agents with the next of several states of the fleet, the last again and again."""

    def __init__(self, *states: Mapping[str, Any]) -> None:
        self._states = list(states)

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[dict[str, Any]]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        for device, row in state.items():
            yield {"deviceId": device, **row}


def agent(version: int | None, code: int = 200, *, wanted: int = 2, seen: Any = APPLIED) -> dict[str, Any]:
    status = {"code": code, "description": f"says {code}"}
    return {"configurations": seen, "wanted": wanted, "version": version, "status": status}


async def wait(*states: Mapping[str, Any], devices: int = 1, **rules: Any) -> WaitReport:
    service: HubService = FakeHub(*states)  # type: ignore[assignment]
    expected = {f"d{n}": frozenset({"new"}) for n in range(1, devices + 1)}
    given = {"timeout_s": 0.0, "poll_s": 0.0, **rules}
    return await wait_for_success(service, Scope(expected=expected, offline=("far",)), WaitRules(**given))


@pytest.mark.parametrize(
    ("row", "succeeded"),
    [
        (agent(2), True),
        (agent(1), False),
        (agent(None), False),
        (agent(2, 500), False),
        (agent(2, 406), False),
        (agent(2, seen={}), False),
        (agent(1, 500, seen=TARGETED), True),
    ],
    ids=["reported", "older", "never", "failed", "not-tried", "not-evaluated", "outranked"],
)
async def test_success_is_a_report_of_the_present_version(row: dict[str, Any], succeeded: bool) -> None:
    assert (await wait({"d1": row})).reached is succeeded


async def test_devices_that_are_late_are_waited_for() -> None:
    states = [{}, {"d1": agent(1)}, {"d1": agent(2)}]
    report = await wait(*states, timeout_s=30.0)
    assert (report.succeeded, report.pending, report.offline) == (1, (), ("far",))


async def test_a_wrong_deployment_ends_the_wait_at_once() -> None:
    report = await wait({"d1": agent(2, 400)}, timeout_s=30.0)
    assert (report.reached, dict(report.failed)) == (False, {"d1": "says 400 (status 400)"})


async def test_a_failure_that_stands_long_enough_ends_the_wait() -> None:
    assert not (await wait({"d1": agent(2, 500)}, timeout_s=30.0, retried_for_s=0.01)).reached


async def test_a_failure_that_is_mended_is_none() -> None:
    assert (await wait({"d1": agent(2, 500)}, {"d1": agent(2)}, timeout_s=30.0)).reached


@pytest.mark.parametrize(("percent", "reached"), [(66, True), (67, False), (0, True)])
async def test_the_share_is_of_all_devices_waited_for(percent: float, reached: bool) -> None:
    fleet = {"d1": agent(2), "d2": agent(2), "d3": agent(2, 400)}
    assert (await wait(fleet, devices=3, min_success=percent)).reached is reached


async def test_nobody_to_wait_for_is_success() -> None:
    assert (await wait({}, devices=0)).reached


async def test_what_the_check_raises_ends_the_wait() -> None:
    def lost() -> None:
        raise RuntimeError("lost")

    service: HubService = FakeHub({})  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="lost"):
        await wait_for_success(service, Scope(expected={}, offline=()), WaitRules(), check=lost)
