"""What actions send, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from device.client import MethodAnswer
from device.fake_client import FakeHubClient
from iot_core.clock import ManualClock, iso
from iot_core.message import Message

Reading = Callable[..., Message]
RULE = {"condition": "$body.t > 30", "key": ["$body.id"]}


def act(hub: FakeHubClient, **action: Any) -> None:
    """The twin says: when it is hot, do this."""
    hub.desired |= {"actions": {"do": action}, "rules": {"hot": {**RULE, "actions": ["do"]}}}


async def test_a_cloud_event_is_posted_with_key_and_idempotency_key(
    hub: FakeHubClient, hook: Any, running: Any, clock: ManualClock, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_KEY", "s3cret")
    act(hub, type="http", url=f"{hook.url}/api/alarm", keyEnvironment="HOOK_KEY")
    async with running():
        await hub.deliver("telemetry", reading(31, site="north"))
        await hook.until(lambda: bool(hook.calls))
    [call] = hook.calls
    event = call.document
    assert call.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert call.headers["x-functions-key"] == "s3cret"
    assert call.headers["Idempotency-Key"] == event["id"]
    assert {name: event[name] for name in ("specversion", "type", "source", "subject", "time")} == {
        "specversion": "1.0",
        "type": "edgeyard.trigger.fired",
        "source": "/devices/edge-1/modules/trigger/rules/hot",
        "subject": "a",
        "time": iso(clock.now()),
    }
    assert event["data"]["message"]["body"] == {"t": 31, "id": "a"}
    assert event["data"]["message"]["properties"] == {"site": "north"}


async def test_event_grid_gets_an_array_of_one_event(
    hub: FakeHubClient, hook: Any, running: Any, clock: ManualClock, reading: Reading
) -> None:
    act(hub, type="http", url=f"{hook.url}/grid", format="eventGrid", key="k", keyHeader="aeg-sas-key")
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hook.until(lambda: bool(hook.calls))
    [call] = hook.calls
    [event] = call.document
    assert (call.headers["aeg-event-type"], call.headers["aeg-sas-key"]) == ("Notification", "k")
    assert set(event) == {"id", "subject", "eventType", "eventTime", "dataVersion", "data"}
    assert (event["eventTime"], event["data"]["rule"]) == (iso(clock.now()), "hot")


async def test_the_plain_message_is_posted_as_it_came(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading
) -> None:
    act(hub, type="http", url=f"{hook.url}/plain", format="message")
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hook.until(lambda: bool(hook.calls))
    [call] = hook.calls
    assert (call.body, call.headers["Content-Type"]) == (reading(31).body, "application/json")
    assert call.headers["Idempotency-Key"]


async def test_an_output_gets_an_event_that_routes_can_read(hub: FakeHubClient, running: Any, reading: Reading) -> None:
    act(hub, type="output", output="alerts")
    async with running():
        await hub.deliver("telemetry", reading(31, site="north"))
        await hub.until(lambda: bool(hub.sent))
    [(output, message)] = hub.sent
    firing = json.loads(message.body)["id"]
    assert (output, message.properties) == ("alerts", {"site": "north", "rule": "hot", "firing": firing})
    assert message.system == {
        "messageId": firing,
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "correlationId": "a-31",
    }


async def test_a_method_of_a_module_on_the_same_device_is_called(
    hub: FakeHubClient, running: Any, reading: Reading
) -> None:
    act(hub, type="method", module="pump", method="stop", payload={"fast": True})
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: bool(hub.called))
    [(device, module, call)] = hub.called
    assert (device, module, call.name, call.payload) == ("edge-1", "pump", "stop", {"fast": True})


async def test_a_method_without_a_payload_gets_the_event(hub: FakeHubClient, running: Any, reading: Reading) -> None:
    act(hub, type="method", device="leaf", method="stop")
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: bool(hub.called))
    [(device, module, call)] = hub.called
    assert (device, module, call.payload["data"]["key"]) == ("leaf", None, "a")


@pytest.mark.parametrize("status", [400, 401, 404, 301, 413])
async def test_what_the_target_refuses_is_parked_at_once(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading, status: int
) -> None:
    act(hub, type="http", url=f"{hook.url}/x?code=s3cret", key="k3y")
    hook.answers = [(status, {"Location": f"{hook.url}/y"}, "bad\nkey k3y")]
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: bool(hub.reported.get("parkedDeliveries")))
        answer = (await hub.call("parked")).payload
    [parked] = answer["parked"]
    assert (answer["total"], parked["rule"], parked["action"], parked["attempts"]) == (1, "hot", "do", 1)
    assert parked["reason"] == f"{hook.url}/x?*** answered {status}: bad key ***"
    assert len(hook.calls) == 1
    assert "s3cret" not in json.dumps(hub.reported)
    assert "k3y" not in json.dumps(hub.reported)


@pytest.mark.parametrize("answer", [MethodAnswer(status=404), MethodAnswer(status=503)])
async def test_a_method_that_fails_for_now_is_called_again(
    hub: FakeHubClient, running: Any, in_time: Any, reading: Reading, answer: MethodAnswer
) -> None:
    act(hub, type="method", module="pump", method="stop")
    hub.answers = [answer]
    async with running():
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: len(hub.called) == 2)
    assert [call.payload["id"] for _, _, call in hub.called] == [hub.called[0][2].payload["id"]] * 2


async def test_a_method_that_refuses_the_call_is_parked(hub: FakeHubClient, running: Any, reading: Reading) -> None:
    act(hub, type="method", module="pump", method="stop")
    hub.answers = [MethodAnswer(status=400, payload={"error": "no such speed"})]
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: bool(hub.reported.get("parkedDeliveries")))
    reason = hub.reported["parkedDeliveries"][0]["reason"]
    assert reason == 'method stop of edge-1/pump answered 400: {"error":"no such speed"}'
