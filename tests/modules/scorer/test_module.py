from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from device.fake_client import FakeHubClient
from device.measurements import CITIES, temperatures
from iot_core.errors import InputError
from iot_core.message import Message
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.module import create_app
from modules.scorer.options import parse_options
from modules.scorer.telemetry import TelemetryScorer

HISTORY = [reading.celsius for reading in temperatures(CITIES[0])][:400]
NORMAL = HISTORY[-1]


def measurement(content: Any, device: str = "d1", **properties: str) -> Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Message(body, dict(properties), {"connectionDeviceId": device, "messageId": "m1"})


@asynccontextmanager
async def scorer_running(**desired: Any) -> AsyncIterator[FakeHubClient]:
    client, stop = FakeHubClient({"reportingInterval": 0.2, **desired}), asyncio.Event()
    app = create_app(client, TelemetryScorer(detector=Detector(AnomalyModel())), {"anomaly": {"sha256": "x"}})
    running = asyncio.create_task(app.run(stop))
    await app.ready.wait()
    yield client
    stop.set()
    await running


def outputs(client: FakeHubClient) -> list[tuple[str | None, dict[str, Any]]]:
    return [(output, json.loads(message.body)) for output, message in client.sent]


async def test_history_fills_the_window_and_a_fault_goes_to_both_outputs() -> None:
    async with scorer_running() as client:
        await client.deliver("telemetry", measurement({"temperature": HISTORY}, phase="history"))
        await client.deliver("telemetry", measurement({"temperature": NORMAL, "city": "x"}, site="B1"))
        await client.deliver("telemetry", measurement({"temperature": NORMAL + 15}))
        names = [name for name, _ in outputs(client)]
        contents = [content for _, content in outputs(client)]
        assert names == ["scores", "scores", "anomalies"]
        assert contents[0] | {"score": 0} == {
            "device": "d1", "temperature": NORMAL, "city": "x", "value": NORMAL, "score": 0, "anomaly": False,
        }  # fmt: skip
        assert contents[1] == contents[2]
        assert contents[1]["anomaly"] is True


async def test_routes_can_use_the_properties() -> None:
    async with scorer_running(minimumHistory=24) as client:
        await client.deliver("telemetry", measurement({"temperature": 1.0}, site="B1"))
        message = client.sent[0][1]
        assert message.properties == {"site": "B1", "anomaly": "false"}
        assert message.system["contentType"] == "application/json"
        assert message.system["correlationId"] == "m1"


async def test_each_device_and_series_has_its_own_window() -> None:
    async with scorer_running() as client:
        await client.deliver("telemetry", measurement({"temperature": HISTORY, "sensor": 1}, phase="history"))
        for device, sensor in (("d1", 1), ("d1", 2), ("d2", 1)):
            await client.deliver("telemetry", measurement({"temperature": NORMAL, "sensor": sensor}, device))
        assert [content["score"] is not None for _, content in outputs(client)] == [True, False, False]


async def test_settings_choose_field_and_threshold() -> None:
    async with scorer_running(field="engine.oil", threshold=0.001) as client:
        await client.deliver("telemetry", measurement({"engine": {"oil": HISTORY}}, phase="history"))
        await client.deliver("telemetry", measurement({"engine": {"oil": NORMAL + 3}}))
        assert [name for name, _ in outputs(client)] == ["scores", "anomalies"]


@pytest.mark.parametrize("body", [b"\x00", b"[1]", b'{"humidity": 3}', b'{"temperature": "hot"}', b""])
async def test_an_unreadable_message_is_reported_and_does_no_harm(body: bytes) -> None:
    async with scorer_running() as client:
        await client.deliver("telemetry", measurement(body))
        await client.deliver("telemetry", measurement({"temperature": 1}))
        await client.until(lambda: client.reported.get("counts", {}).get("errors") == 1)
        assert client.reported["lastError"]
        assert [name for name, _ in outputs(client)] == ["scores"]


async def test_what_happened_is_reported() -> None:
    async with scorer_running() as client:
        await client.deliver("telemetry", measurement({"temperature": HISTORY}, phase="history"))
        await client.deliver("telemetry", measurement({"temperature": NORMAL + 15}))
        await client.until(lambda: "lastAnomaly" in client.reported)
        assert client.reported["lastAnomaly"]["device"] == "d1"
        assert client.reported["models"] == {"anomaly": {"sha256": "x"}}
        assert client.reported["counts"] == {"messages": 2, "history": 400, "scored": 1, "anomalies": 1, "errors": 0}
        assert client.reported["threshold"]["ac"] == 203


def test_arguments_win_over_the_environment() -> None:
    options = parse_options(["--port", "0"], {"SCORER_HOST": "127.0.0.9", "SCORER_PORT": "7"})
    assert (options.host, options.port, options.standalone) == ("127.0.0.9", 0, False)
    with pytest.raises(InputError, match="SCORER_PORT"):
        parse_options([], {"SCORER_PORT": "many"})
