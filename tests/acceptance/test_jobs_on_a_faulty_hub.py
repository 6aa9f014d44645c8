"""Jobs and rollouts on a hub that throttles, or loses requests or answers, by its own fault switches."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub_tools import retries
from hub_tools.jobs import DeviceState, JobSpec, Rollout, make_path, run_job, run_rollout
from hub_tools.jobs.journal import Journal, JournalView
from hub_tools.jobs.population import count
from hub_tools.jobs.resume import never_written, resume_job
from hub_tools.jobs.rollout_states import RolloutState
from hub_tools.jobs.timing import Timing
from hub_tools.jobs.undo import undo_job
from hub_tools.rest import RestHubService
from hub_tools.service import HubUnreachableError
from iot_core.errors import EdgeyardError, HubError
from iot_core.identity import Identity
from tests.acceptance.support import RunningHub, edgeyard

pytestmark = pytest.mark.acceptance
PATHS = ("jobs", "direct", "bulk")
FAULTS = {"throttle": "0.4", "drop": "0.15", "unanswered": "0.15"}
DEVICES = 60
ATTEMPTS = 100
values = itertools.count(1000)


async def soon(seconds: float) -> None:
    """Pauses in a hurry: their lengths have tests of their own."""
    await asyncio.sleep(min(seconds, 0.01))


TIMING = Timing(sleep=soon)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES_S", (0.01,) * len(retries.PAUSES_S))


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [f"faulty-{number:02}" for number in range(DEVICES)]


@pytest.fixture
async def service(hub: RunningHub, names: list[str]) -> AsyncIterator[RestHubService]:
    """With devices that never connect, of an even building each second."""
    async with hub.service() as service:
        new = {"importMode": "create", "status": "enabled", "tags": {"fleet": "faulty"}}
        await service.change_devices([{"id": name, **new} for name in names])
        while await count(service, "tags.fleet = 'faulty'") < len(names):
            await asyncio.sleep(0.1)
        yield service


@contextmanager
def fault(hub: RunningHub, kind: str) -> Any:
    added = edgeyard(hub.home, "hub", "fault", "add", "--all", kind, "--rate", FAULTS[kind])
    assert added.returncode == 0, added.stderr
    try:
        yield
    finally:
        assert edgeyard(hub.home, "hub", "fault", "clear").returncode == 0


async def persist(attempt: Callable[[], Awaitable[bool]]) -> None:
    """Again and again, as an operator does, until it says that all is done."""
    for _ in range(ATTEMPTS):
        try:
            if await attempt():
                return
        except HubUnreachableError:
            continue
        except EdgeyardError as error:
            throttled = isinstance(error, HubError) and error.status == 429
            if not throttled and "was cut off" not in str(error):
                raise
    raise AssertionError("it came to no end")


async def holding(service: RestHubService, names: list[str]) -> tuple[Counter[Any], Counter[int]]:
    """Values of the property, and versions of the desired sections."""
    twins = [await service.get_twin(Identity(name)) for name in names]
    desired = [twin["properties"]["desired"] for twin in twins]
    return Counter(each.get("n") for each in desired), Counter(each["$version"] for each in desired)


def spec_of(value: int) -> JobSpec:
    return JobSpec(where="tags.fleet = 'faulty'", desired={"n": value}, wait=False, job_id=f"job-{value}")


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_job_that_is_resumed_changes_every_device_once_and_is_undone(
    hub: RunningHub, service: RestHubService, names: list[str], path: str, kind: str, tmp_path: Path
) -> None:
    spec = spec_of(next(values))
    before, versions = await holding(service, names)
    Journal.create(tmp_path, spec).close()

    async def go_on() -> bool:
        with Journal.open(tmp_path, spec.job_id) as journal:
            way = make_path(path, service, spec, timing=TIMING)
            if never_written(journal):
                journal.start_over()
                report = await run_job(service, spec, way, journal=journal, timing=TIMING)
            else:
                report = await resume_job(service, journal, way, retry=True, timing=TIMING)
            return report.complete

    async def undo() -> bool:
        with Journal.open(tmp_path, spec.job_id) as journal:
            await undo_job(service, journal, timing=TIMING)
            return all(standing.undone == "restored" for standing in journal.standings().values())

    with fault(hub, kind):
        await persist(go_on)
    assert await holding(service, names) == ({spec.desired["n"]: DEVICES}, {v + 1: n for v, n in versions.items()})
    states = Counter(standing.state for standing in JournalView.look(tmp_path, spec.job_id).standings().values())
    assert states == {DeviceState.WRITTEN: DEVICES}
    with fault(hub, kind):
        await persist(undo)
    assert await holding(service, names) == (before, {v + 2: n for v, n in versions.items()})


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("path", ["direct", "bulk"])
async def test_a_rollout_that_is_resumed_changes_every_device_once(
    hub: RunningHub, service: RestHubService, names: list[str], path: str, kind: str, tmp_path: Path
) -> None:
    rollout = Rollout(spec_of(next(values))).canary(3).then(30, 100).require("success >= 100%")
    spec = rollout.spec
    _, versions = await holding(service, names)
    Journal.create(tmp_path, spec).close()

    async def go_on() -> bool:
        with Journal.open(tmp_path, spec.job_id) as journal:
            way = make_path(path, service, spec, timing=TIMING)
            report = await run_rollout(service, rollout, way, journal=journal, timing=TIMING)
            return report.state is RolloutState.DONE

    with fault(hub, kind):
        await persist(go_on)
    assert await holding(service, names) == ({spec.desired["n"]: DEVICES}, {v + 1: n for v, n in versions.items()})
