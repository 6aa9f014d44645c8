"""A hub that is killed under load, again and again, still has everything that it acknowledged."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from tests.acceptance.durable_load import (
    ABSENT,
    CONNECTED,
    GONE,
    Device,
    DeviceRecord,
    Load,
    Numbers,
    Record,
    created_id,
    job_id,
    register,
    stored_telemetry,
)
from tests.acceptance.support import HUB_PORTS, Process, RunningHub
from transport.loopback import free_loopback_address

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

ROUNDS = 10
KILLED_AFTER_S = (0.15, 1.2)
"""Of load; drawn anew in every round."""


class KillableHub:
    """A hub process on one folder and address, started as often as it was killed."""

    def __init__(self, home: Path) -> None:
        self.running = RunningHub(home, free_loopback_address(HUB_PORTS))
        self._process: Process | None = None

    def start(self) -> None:
        self._process = Process(self.running.home, "hub", "run", "--host", self.running.host, until="hub ready")

    def kill(self) -> None:
        if self._process is not None:
            self._process.process.kill()
            assert self._process.process.wait(timeout=10) == -signal.SIGKILL

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[tuple[RestHubService, aiohttp.ClientSession]]:
        async with self.running.service() as service, aiohttp.ClientSession() as http:
            yield service, http


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[KillableHub]:
    hub = KillableHub(tmp_path)
    yield hub
    hub.kill()


async def test_everything_acknowledged_is_found_again_after_every_kill(killable: KillableHub) -> None:
    seed = time.time_ns()
    print(f"random seed {seed}")
    moments = random.Random(seed)
    killable.start()
    async with killable.clients() as (service, _):
        record = await register(service)
    for _ in range(ROUNDS):
        await load_until_killed(killable, record, moments.uniform(*KILLED_AFTER_S))
        killable.start()
        async with killable.clients() as (service, _):
            await twins_hold_what_was_acknowledged(service, record)
    async with killable.clients() as (service, http):
        await telemetry_is_whole_and_in_order(killable.running, http, record)
        await messages_to_devices_arrive(killable.running, record)
        await jobs_finish(service, record)
        await created_devices_exist(service, record)
    assert all(numbers.acknowledged for numbers in kinds(record))
    print({name: len(numbers.acknowledged) for name, numbers in zip(KINDS, kinds(record), strict=True)})


KINDS = ("telemetry", "reported", "desired", "c2d", "c2d to the absent", "jobs", "devices")


def kinds(record: Record) -> list[Numbers]:
    device = record.devices[CONNECTED[0]]
    absent = record.devices[ABSENT].c2d
    return [device.telemetry, device.reported, device.desired, device.c2d, absent, record.jobs, record.created]


async def load_until_killed(killable: KillableHub, record: Record, seconds: float) -> None:
    async with killable.clients() as (service, http):
        load = asyncio.ensure_future(Load(killable.running, record, service, http).run())
        asyncio.get_running_loop().call_later(seconds, killable.kill)
        ends = await load
    unexpected = [end for end in ends if not isinstance(end, GONE)]
    assert not unexpected, unexpected


async def twins_hold_what_was_acknowledged(service: RestHubService, record: Record) -> None:
    for device_id in CONNECTED:
        twin, promised = await service.get_twin(Identity(device_id)), record.devices[device_id]
        for kind, numbers in (("desired", promised.desired), ("reported", promised.reported)):
            section = twin["properties"][kind]
            late = {name: number for name, number in numbers.newest_in_slots().items() if section[name] < number}
            assert not late, (device_id, kind, late, section)
            assert max(section[name] for name in numbers.newest_in_slots()) <= numbers.asked


async def telemetry_is_whole_and_in_order(hub: RunningHub, http: aiohttp.ClientSession, record: Record) -> None:
    stored = await stored_telemetry(hub, http)
    for device_id in CONNECTED:
        promised, kept = record.devices[device_id], stored[device_id]
        assert set(promised.telemetry.acknowledged) <= set(kept)
        assert kept == sorted(set(kept))
        assert kept == [number for sent in promised.connections for number in prefix_of(sent, set(kept))]


def prefix_of(sent: range, kept: set[int]) -> range:
    """What was kept of a connection's messages if nothing was lost before the last of them."""
    return range(sent.start, max((number + 1 for number in sent if number in kept), default=sent.start))


async def messages_to_devices_arrive(hub: RunningHub, record: Record) -> None:
    """At least once, and the first time in the order of sending."""
    for promised in record.devices.values():
        device = Device(promised)
        await device.connect(hub)
        await asyncio.wait_for(device.has_received(set(promised.c2d.acknowledged)), 10)
        await device.close()
    absent: DeviceRecord = record.devices[ABSENT]
    assert absent.received == sorted(set(absent.received))


async def jobs_finish(service: RestHubService, record: Record) -> None:
    for number in record.jobs.acknowledged:
        job = await finished(service, number)
        assert (job["status"], job["deviceJobStatistics"]["succeededCount"]) == ("completed", len(CONNECTED)), job
    for device_id in CONNECTED:
        tags = (await service.get_twin(Identity(device_id)))["tags"]
        assert all(tags[name] >= number for name, number in record.jobs.newest_in_slots().items())


async def finished(service: RestHubService, number: int) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (job := await service.get_job(job_id(number)))["status"] in ("enqueued", "scheduled", "running"):
            pass
    return job


async def created_devices_exist(service: RestHubService, record: Record) -> None:
    for number in record.created.acknowledged:
        assert (await service.get_device(created_id(number)))["deviceId"] == created_id(number)
