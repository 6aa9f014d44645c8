"""The replay module on a fake hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device.fake_client import FakeHubClient
from device.measurements import temperatures
from device.schema import is_current
from iot_core.clock import ManualClock
from modules.replay.module import ReplayModule
from modules.replay.player import START_HOURS, texts
from modules.replay.settings import ReplaySettings, Sensor

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def hub() -> FakeHubClient:
    return FakeHubClient({"reportingInterval": 0.2, "historyHours": 5, "sensors": ["seattle"]})


@asynccontextmanager
async def playing(hub: FakeHubClient) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(ReplayModule(hub, clock=ManualClock(1_767_225_600)).run(stop))
    try:
        await hub.until(lambda: len(hub.sent) >= 7)
        yield
    finally:
        stop.set()
        await task


def bodies(hub: FakeHubClient, output: str, phase: str | None = None) -> list[dict[str, Any]]:
    return [
        json.loads(message.body)
        for name, message in hub.sent
        if name == output and (phase is None or message.properties["phase"] == phase)
    ]


async def test_history_comes_first_and_live_readings_go_on_from_it(hub: FakeHubClient) -> None:
    async with playing(hub):
        await hub.until(lambda: len(bodies(hub, "temperature", "live")) >= 2)
    start = START_HOURS[Sensor.SEATTLE]
    recorded = [
        {"sensor": "seattle", "time": reading.time.isoformat(), "temperature": reading.celsius}
        for reading in temperatures("seattle")[start - 5 : start + 2]
    ]
    assert bodies(hub, "temperature")[:7] == recorded
    assert bodies(hub, "temperature", "history") == recorded[:5]


async def test_history_is_sent_once_even_after_a_reconnect(hub: FakeHubClient) -> None:
    async with playing(hub):
        await hub.lose_connection()
        await hub.connect()
        seen = len(hub.sent)
        await hub.until(lambda: len(hub.sent) > seen)
    assert len(bodies(hub, "temperature", "history")) == 5


async def test_texts_are_played_in_turn(hub: FakeHubClient) -> None:
    async with playing(hub):
        await hub.until(lambda: len(bodies(hub, "texts")) >= 2)
    assert [body["id"] for body in bodies(hub, "texts")[:2]] == ["review-01", "review-02"]


async def test_texts_can_be_switched_off(hub: FakeHubClient) -> None:
    hub.desired["texts"] = False
    async with playing(hub):
        pass
    assert bodies(hub, "texts") == []


async def test_an_injected_fault_is_sent_and_announced(hub: FakeHubClient) -> None:
    async with playing(hub):
        answer = await hub.call("injectFault", {"sensor": "seattle", "kind": "spike", "magnitude": 25, "count": 1})
        assert answer.status == 200
        assert hub.reported["faults"][0]["finished"] is False
        await hub.until(lambda: bool(hub.reported["faults"][0]["finished"]))
    [fault] = hub.reported["faults"]
    wrong = next(body for body in bodies(hub, "temperature") if body["time"] == fault["firstTime"])
    true = next(r.celsius for r in temperatures("seattle") if r.time.isoformat() == fault["firstTime"])
    assert wrong["temperature"] == pytest.approx(true + 25)


async def test_a_bad_fault_answers_400_with_the_reason(hub: FakeHubClient) -> None:
    async with playing(hub):
        answer = await hub.call("injectFault", {"sensor": "oslo", "kind": "spike"})
    assert answer.status == 400
    assert "sensor" in answer.payload["error"]


def test_there_are_texts_enough_and_their_ids_are_unique() -> None:
    assert len(texts()) >= 30
    assert len({text.id for text in texts()}) == len(texts())


def test_the_committed_schema_is_current() -> None:
    assert is_current(ReplaySettings, REPOSITORY / "deployments" / "schemas" / "replay.json")


@pytest.mark.parametrize("platform", ["amd64", "arm64v8"])
def test_the_dockerfile_copies_only_what_exists_and_runs_without_root(platform: str) -> None:
    lines = (REPOSITORY / "modules" / "replay" / f"Dockerfile.{platform}").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert all((REPOSITORY / name).exists() for names in copies for name in names)
    assert "USER 10001:10001" in lines


def test_module_json_names_dockerfiles_that_exist() -> None:
    folder = REPOSITORY / "modules" / "replay"
    image = json.loads((folder / "module.json").read_text())["image"]
    assert all((folder / name).is_file() for name in image["tag"]["platforms"].values())
    assert (folder / image["contextPath"]).resolve() == REPOSITORY
