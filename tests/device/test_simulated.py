"""The simulated device on a fake hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from device import simulated
from device.fake_client import FakeHubClient
from device.measurements import temperatures
from device.simulated import Character, SimulatedDevice
from iot_core.clock import ManualClock


@pytest.fixture
def hub() -> FakeHubClient:
    return FakeHubClient({"reportingInterval": 0.2})


@asynccontextmanager
async def started(hub: FakeHubClient, device_id: str = "dev-1") -> AsyncIterator[SimulatedDevice]:
    device = SimulatedDevice(hub, device_id, clock=ManualClock(1_767_225_600))
    stop = asyncio.Event()
    task = asyncio.create_task(device.run(stop))
    try:
        await hub.until(lambda: len(hub.sent) >= 1)
        yield device
    finally:
        stop.set()
        await task


def body(hub: FakeHubClient, index: int) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(hub.sent[index][1].body)
    return value


async def test_telemetry_is_json_with_the_recorded_temperature(hub: FakeHubClient) -> None:
    async with started(hub):
        character = Character.of("dev-1")
        recorded = temperatures(character.city)[character.offset]
        assert body(hub, 0)["deviceId"] == "dev-1"
        assert body(hub, 0)["time"] == "2026-01-01T00:00:00.0000000Z"
        assert body(hub, 0)["temperature"] == recorded.celsius
        assert hub.sent[0][1].system == {"contentType": "application/json", "contentEncoding": "utf-8"}


async def test_the_recording_goes_on_hour_by_hour(hub: FakeHubClient) -> None:
    async with started(hub):
        await hub.until(lambda: len(hub.sent) >= 3)
    character = Character.of("dev-1")
    recorded = temperatures(character.city)[character.offset : character.offset + 3]
    assert [body(hub, i)["temperature"] for i in range(3)] == [reading.celsius for reading in recorded]


async def test_a_threshold_marks_messages(hub: FakeHubClient) -> None:
    hub.desired["maxTemperature"] = -60
    async with started(hub):
        assert hub.sent[0][1].properties == {"temperatureAlert": "true"}


async def test_battery_and_memory_are_reported(hub: FakeHubClient) -> None:
    hub.desired["lowBattery"] = 100
    async with started(hub):
        await hub.until(lambda: "battery" in hub.reported)
    assert hub.reported["batteryLow"] is True
    assert 1 < hub.reported["memory"] < 100_000


async def test_reboot_goes_away_comes_back_and_reports(hub: FakeHubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "REBOOT_PAUSE_S", 0.01)
    async with started(hub):
        answer = await hub.call("reboot", {"delaySeconds": 0})
        await hub.until(lambda: hub.connects == 2 and "lastReboot" in hub.reported)
    assert answer.payload == {"rebootAt": "2026-01-01T00:00:00.0000000Z"}
    assert hub.reported["lastReboot"] == "2026-01-01T00:00:00.0000000Z"


async def test_reboot_refuses_a_negative_delay(hub: FakeHubClient) -> None:
    async with started(hub):
        assert (await hub.call("reboot", {"delaySeconds": -1})).status == 400


def test_the_character_of_a_device_comes_from_its_id() -> None:
    assert Character.of("dev-1") == Character.of("dev-1")
    assert {Character.of(f"dev-{n}").city for n in range(20)} == {"seattle", "san-francisco"}
