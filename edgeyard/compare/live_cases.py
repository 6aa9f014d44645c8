"""Scenarios in which a device is connected: what it gets, what services get of it, and who is turned away.

Each is an async generator: it goes through its steps and yields what it saw at each, a reply over HTTPS or a document.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edgeyard.compare.doors import WAIT_S, Doors, LiveDevice
from hub_tools.replies import Reply
from iot_core.amqp import ACCEPTED, RELEASED, Data, Message, Properties, Rejected
from iot_core.amqp_messages import body_bytes
from iot_core.identity import Identity, generate_key
from iot_core.json_types import JsonObject
from iot_core.message import Message as HubMessage
from iot_core.mqtt import Publish
from iot_core.topics import (
    DESIRED_FILTER,
    METHODS_FILTER,
    TWIN_RESPONSES_FILTER,
    devicebound_filter,
    method_response,
    parse_hub_topic,
    telemetry,
    twin_get,
    twin_patch_reported,
)
from iot_core.topics import MethodRequest as Request
from transport.amqp_client import AmqpClient
from transport.mqtt_client import ConnectRefused

__all__ = ["SCENARIOS", "LiveScenario"]

Seen: TypeAlias = AsyncIterator[tuple[str, Reply | JsonObject]]
MODEL = "dtmi:com:example:Compare;1"


@dataclass(frozen=True, kw_only=True)
class LiveScenario:
    """``devices`` are the suffixes of all that it makes, ``steps`` how many it has."""

    name: str
    devices: tuple[str, ...]
    steps: int
    run: Callable[[Doors], Seen]

    @property
    def makes(self) -> tuple[str, ...]:
        return tuple(f"/devices/{{p}}-{suffix}" for suffix in self.devices)


async def _twin_and_methods(doors: Doors) -> Seen:
    identity = await doors.make("l")
    device = await doors.mqtt(identity, model_id=MODEL)
    granted = await device.mqtt.subscribe(TWIN_RESPONSES_FILTER, DESIRED_FILTER, METHODS_FILTER, qos=1)
    yield "subscribe", {"granted": list(granted)}
    await device.mqtt.publish(twin_get("1"), b"")
    yield "get the twin", _published(await device.next())
    await device.mqtt.publish(twin_patch_reported("2"), b'{"rate": {"value": 5, "ac": 200, "av": 1}}')
    yield "report", _published(await device.next())
    await device.mqtt.publish(twin_patch_reported("3", 1), b'{"rate": 6}')
    yield "report on an old version", _published(await device.next())
    await device.mqtt.publish(twin_patch_reported("4"), b"[]")
    yield "report what is no object", _published(await device.next())
    twin = f"/twins/{identity.device_id}"
    yield "desire", await doors.rest("PATCH", twin, {"properties": {"desired": {"rate": 7, "gone": None}}})
    yield "what is desired arrives", _published(await device.next())
    yield "the twin says it all", await doors.rest("GET", twin)
    yield "the digital twin says it too", await doors.rest("GET", f"/digitaltwins/{identity.device_id}")
    call = {"methodName": "reboot", "payload": {"in": 1}, "responseTimeoutInSeconds": 30}
    async for step in _called(doors, device, "a method", f"{twin}/methods", call):
        yield step
    commands = f"/digitaltwins/{identity.device_id}/components/thermostat1/commands/report"
    async for step in _called(doors, device, "a component's command", commands, {"since": 1}):
        yield step


async def _called(doors: Doors, device: LiveDevice, name: str, path: str, body: JsonObject) -> Seen:
    """A call that the device answers with 201 and a list."""
    calling = asyncio.ensure_future(doors.rest("POST", path, body))
    try:
        request = await device.next()
        called = parse_hub_topic(request.topic)
        assert isinstance(called, Request)
        await device.mqtt.publish(method_response(201, called.request_id), b"[1, 2]")
        yield f"{name} reaches the device", {"name": called.name, "payload": _json(request.payload)}
        yield f"{name} is answered", await calling
    finally:
        calling.cancel()


async def _who_is_turned_away(doors: Doors) -> Seen:
    identity = await doors.make("t")
    strangers = (
        ("a wrong key", identity, generate_key()),
        ("a device that is not there", doors.identity("none"), generate_key()),
        ("a module that is not there", Identity(identity.device_id, "none"), generate_key()),
    )
    for name, who, key in strangers:
        yield name, await _refusal(doors, who, key)
    for name, topic in (
        ("a topic of another device", "devices/somebody-else/messages/events/"),
        ("a topic that is not there", "$iothub/nothing/here"),
    ):
        device = await doors.mqtt(identity)
        device.mqtt.publish_nowait(topic, b"x", 0)
        await device.ended()
        yield name, {"ended": True}
    first = await doors.mqtt(identity)
    await doors.mqtt(identity)
    await first.ended()
    yield "a second connection ends the first", {"ended": True}


async def _refusal(doors: Doors, identity: Identity, key: str) -> JsonObject:
    try:
        await doors.mqtt(identity, key=key)
    except ConnectRefused as refused:
        return {"code": int(refused.code)}
    return {"code": 0}


async def _telemetry(doors: Doors) -> Seen:
    identity = await doors.make("e")
    events = await doors.events()
    device = await doors.mqtt(identity)
    system = {"messageId": "m1", "correlationId": "c1", "contentType": "application/json", "contentEncoding": "utf-8"}
    message = HubMessage(b'{"by": "mqtt"}', {"room": "1", "empty": ""}, system)
    await device.mqtt.publish(telemetry(identity, message), message.body)
    yield "by MQTT", await _event_of(events, identity)
    await device.mqtt.close()
    client = await doors.amqp_device(identity)
    sender = await client.sender(f"/devices/{identity.device_id}/messages/events")
    properties = Properties(message_id="m2", content_type="application/json", content_encoding="utf-8")
    sent = Message(properties=properties, application_properties={"room": "2"}, body=Data((b'{"by": "amqp"}',)))
    await sender.send(sent)
    yield "by AMQP", await _event_of(events, identity)
    await client.close()
    headers = {
        "Authorization": doors.token(identity),
        "iothub-app-room": "3",
        "iothub-messageid": "m3",
        "iothub-contenttype": "application/json",
        "iothub-contentencoding": "utf-8",
    }
    path = f"/devices/{identity.device_id}/messages/events"
    yield "send by HTTPS", await doors.rest("POST", path, data=b'{"by": "https"}', headers=headers, authorized=False)
    yield "by HTTPS", await _event_of(events, identity)


async def _event_of(events: AsyncIterator[JsonObject], identity: Identity) -> JsonObject:
    """The next message of the device."""
    async with asyncio.timeout(WAIT_S):
        async for event in events:
            if event["deviceId"] == identity.device_id and event["source"] == "Telemetry":
                return event
    raise TimeoutError


async def _cloud_to_device(doors: Doors) -> Seen:
    identity = await doors.make("c")
    service = await doors.amqp_service()
    feedback = await service.receiver("/messages/serviceBound/feedback")
    sender = await service.sender("/messages/devicebound")
    device = await doors.mqtt(identity)
    await device.mqtt.subscribe(devicebound_filter(identity), qos=1)
    await sender.send(_to(identity, "m1", b"hello", ack="full"))
    yield "by MQTT", _published(await device.next())
    yield "feedback of a completion", await _feedback_on(feedback, identity)
    await device.mqtt.close()
    await sender.send(_to(identity, "m2", b"hello again", ack="none"))
    headers = {"Authorization": doors.token(identity)}
    bound = f"/devices/{identity.device_id}/messages/deviceBound"
    received = await doors.rest("GET", bound, headers=headers, authorized=False)
    yield "by HTTPS", received
    lock = {name.lower(): value for name, value in received.headers.items()}.get("etag", "none").strip('"')
    yield "reject", await doors.rest("DELETE", f"{bound}/{lock}", query="reject", headers=headers, authorized=False)
    await sender.send(_to(identity, "m3", b"nobody reads this", ack="none"))
    yield "purge", await doors.rest("DELETE", f"/devices/{identity.device_id}/commands")
    yield "to a device that is not there", await _rejection(service, doors.identity("none"))


def _to(identity: Identity, message_id: str, body: bytes, *, ack: str) -> Message:
    return Message(
        properties=Properties(to=f"/devices/{identity.device_id}/messages/devicebound", message_id=message_id),
        application_properties={"iothub-ack": ack, "room": "1"},
        body=Data((body,)),
    )


async def _feedback_on(receiver: Any, identity: Identity) -> JsonObject:
    """What is told of the device's message. Batches with records of others are put back."""
    async with asyncio.timeout(WAIT_S):
        while True:
            delivery = await receiver.receive()
            message = delivery.message()
            records = json.loads(body_bytes(message))
            ours = [record for record in records if record["deviceId"] == identity.device_id]
            receiver.settle(delivery, ACCEPTED if len(ours) == len(records) else RELEASED)
            if ours:
                content_type = message.properties.content_type if message.properties else None
                return {"contentType": content_type, "records": ours}


async def _rejection(service: AmqpClient, identity: Identity) -> JsonObject:
    sender = await service.sender("/messages/devicebound")
    state = await sender.send(_to(identity, "m4", b"x", ack="none"))
    if not isinstance(state, Rejected) or state.error is None:
        return {"state": type(state).__name__}
    return {"condition": str(state.error.condition), "description": state.error.description}


def _published(message: Publish) -> JsonObject:
    return {"topic": message.topic, "qos": int(message.qos), "payload": _json(message.payload)}


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")


SCENARIOS: tuple[LiveScenario, ...] = (
    LiveScenario(name="a device on mqtt", devices=("l",), steps=13, run=_twin_and_methods),
    LiveScenario(name="turned away", devices=("t",), steps=6, run=_who_is_turned_away),
    LiveScenario(name="telemetry read back", devices=("e",), steps=4, run=_telemetry),
    LiveScenario(name="messages to a device", devices=("c",), steps=6, run=_cloud_to_device),
)
