"""The rules of the MQTT front, packet by packet, with a client that does just what a test says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from iot_core import sas
from iot_core.identity import Identity, generate_key
from iot_core.mqtt import NOT_AUTHORIZED, ConnAck, Connect, Publish, Will, encode
from iot_core.topics import DESIRED_FILTER, METHODS_FILTER, TWIN_RESPONSES_FILTER, inputs_filter
from transport.mqtt_client import ConnectRefused, MqttClient

Connector = Callable[..., Any]


class RawClient:
    """An MQTT client that remembers what came and when the hub hung up."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Publish] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.mqtt = MqttClient(on_message=self.received.put_nowait, on_disconnect=lambda _cause: self.ended.set())
        self.session_present = False

    async def connect(self, hub: Any, device: Any, **given: Any) -> RawClient:
        path = device.identity.path
        options = {
            "client_id": path,
            "username": f"{device.host}/{path}/?api-version=2021-04-12",
            "password": device.token(),
            "clean_session": True,
            "ssl": hub.tls,
        } | given
        self.session_present = await self.mqtt.connect(hub.host, 8883, **options)
        return self

    async def events(self, device: Any, payload: bytes = b"x", *, bag: str = "", **options: Any) -> None:
        module = f"/modules/{device.identity.module_id}" if device.identity.module_id else ""
        topic = f"devices/{device.identity.device_id}{module}/messages/events/{bag}"
        await self.mqtt.publish(topic, payload, **options)

    async def twin_request(self, topic: str, payload: bytes = b"") -> Publish:
        await self.mqtt.publish(topic, payload)
        return await asyncio.wait_for(self.received.get(), 10)


@pytest.fixture
async def connected(hub: Any) -> AsyncIterator[Connector]:
    clients: list[RawClient] = []

    async def connect(device: Any, **options: Any) -> RawClient:
        clients.append(RawClient())
        return await clients[-1].connect(hub, device, **options)

    yield connect
    for client in clients:
        await client.mqtt.close()


async def refusal(connected: Connector, device: Any, **options: Any) -> int:
    with pytest.raises(ConnectRefused) as refused:
        await connected(device, **options)
    return refused.value.code


# -- log-in


async def test_a_client_id_must_be_the_identity_of_the_user_name(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    assert await refusal(connected, device, client_id="someone-else") == NOT_AUTHORIZED


@pytest.mark.parametrize("username", ["", "host", "host/", "host/a/b/c/d"])
async def test_a_user_name_that_names_no_identity_is_refused(connected: Connector, rest: Any, username: str) -> None:
    assert await refusal(connected, await rest.device(), username=username) == NOT_AUTHORIZED


async def test_a_wrong_key_is_refused(connected: Connector, rest: Any) -> None:
    first, second = await rest.device(), await rest.device()
    forged = sas.sign(first.identity.resource(first.host), second.key, int(time.time() + 60))
    assert await refusal(connected, first, password=forged) == NOT_AUTHORIZED


async def test_another_device_s_token_is_refused(connected: Connector, rest: Any) -> None:
    first, second = await rest.device(), await rest.device()
    assert await refusal(connected, first, password=second.token()) == NOT_AUTHORIZED


async def test_an_expired_token_is_refused(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    assert await refusal(connected, device, password=device.token(expires_in=-301)) == NOT_AUTHORIZED


async def test_a_log_in_without_a_password_is_refused(connected: Connector, rest: Any) -> None:
    assert await refusal(connected, await rest.device(), password=None) == NOT_AUTHORIZED


async def test_a_disabled_device_is_refused(connected: Connector, rest: Any) -> None:
    assert await refusal(connected, await rest.device(status="disabled")) == NOT_AUTHORIZED


async def test_a_device_may_use_the_token_of_the_policy_for_devices(hub: Any, connected: Connector, rest: Any) -> None:
    device = await rest.device()
    owner = hub.owner
    token = sas.sign(device.host, owner.shared_access_key, int(time.time() + 60), owner.shared_access_key_name)
    client = await connected(device, password=token)
    await client.events(device)


async def test_modules_log_in_with_their_own_key(connected: Connector, rest: Any, trace: Any) -> None:
    module = await rest.device(module="m1")
    client = await connected(module)
    async with trace(module.identity.device_id) as events:
        await client.events(module, b'{"a": 1}', bag="%24.on=out&k=v")
        event = await events.source("Telemetry")
    assert (event["moduleId"], event["properties"]) == ("m1", {"k": "v"})
    assert event["systemProperties"]["outputName"] == "out"


@pytest.mark.parametrize("module_id", ["$edgeAgent", "$edgeHub"])
async def test_an_edge_device_s_own_modules_log_in_once_they_have_keys(
    connected: Connector, rest: Any, module_id: str
) -> None:
    edge = await rest.device(capabilities={"iotEdge": True})
    keys = {"primaryKey": generate_key(), "secondaryKey": generate_key()}
    body = {
        "deviceId": edge.identity.device_id,
        "moduleId": module_id,
        "managedBy": "IotEdge",
        "authentication": {"type": "sas", "symmetricKey": keys},
    }
    path = f"/devices/{edge.identity.device_id}/modules/{module_id}"
    assert (await rest.call("PUT", path, body, token=edge.token(), If_Match="*")).status == 200
    module = replace(edge, identity=Identity(edge.identity.device_id, module_id), key=keys["primaryKey"])
    await (await connected(module)).events(module)


# -- telemetry


async def test_telemetry_arrives_with_its_properties_and_the_hub_s_stamps(
    connected: Connector, rest: Any, trace: Any
) -> None:
    device = await rest.device()
    client = await connected(device)
    async with trace(device.identity.device_id) as events:
        bag = "%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&a%20b=c%2Fd"
        await client.events(device, b'{"t": 20.5}', bag=bag)
        event = await events.source("Telemetry")
    assert event["body"] == {"t": 20.5}
    assert event["properties"] == {"a b": "c/d"}
    assert event["systemProperties"]["messageId"] == "m 1"
    assert event["systemProperties"]["connectionDeviceId"] == device.identity.device_id
    assert "enqueuedTime" in event["systemProperties"]


async def test_many_messages_arrive_in_order(connected: Connector, rest: Any, trace: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    async with trace(device.identity.device_id) as events:
        await asyncio.gather(*(client.events(device, str(number).encode()) for number in range(300)))
        seen = [str((await events.source("Telemetry"))["body"]) for _ in range(300)]
    assert seen == [str(number) for number in range(300)]


async def test_quality_zero_arrives_too(connected: Connector, rest: Any, trace: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    async with trace(device.identity.device_id) as events:
        await client.events(device, b"once", qos=0)
        assert (await events.source("Telemetry"))["body"] == "once"


async def test_a_retained_message_is_marked_and_not_kept(connected: Connector, rest: Any, trace: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    async with trace(device.identity.device_id) as events:
        await client.events(device, retain=True)
        assert (await events.source("Telemetry"))["properties"] == {"mqtt-retain": "true"}


async def test_a_will_is_sent_when_the_device_is_gone_without_a_word(
    connected: Connector, rest: Any, trace: Any
) -> None:
    device = await rest.device()
    will = Will(topic=f"devices/{device.identity.device_id}/messages/events/", payload=b"bye", qos=1)
    async with trace(device.identity.device_id) as events:
        client = await connected(device, will=will)
        client.mqtt.abort()
        event = await events.source("Telemetry")
    assert (event["body"], event["properties"]) == ("bye", {"iothub-MessageType": "Will"})


async def test_a_will_for_another_device_is_refused(connected: Connector, rest: Any) -> None:
    assert (
        await refusal(connected, await rest.device(), will=Will(topic="devices/x/messages/events/")) == NOT_AUTHORIZED
    )


async def test_connection_events_tell_of_coming_and_going(connected: Connector, rest: Any, trace: Any) -> None:
    device = await rest.device()
    async with trace(device.identity.device_id) as events:
        client = await connected(device)
        came = await events.source("deviceConnectionStateEvents")
        await client.mqtt.close()
        went = await events.source("deviceConnectionStateEvents")
    assert [event["properties"]["opType"] for event in (came, went)] == ["deviceConnected", "deviceDisconnected"]
    assert went["body"]["sequenceNumber"] > came["body"]["sequenceNumber"]


# -- what ends a connection


@pytest.mark.parametrize(
    "topic",
    ["anything", "$iothub/twin/GET/", "$iothub/twin/POST/?$rid=1", "devices/other/messages/events/", "devices/x/twin"],
)
async def test_a_topic_that_is_not_the_device_s_ends_the_connection(
    connected: Connector, rest: Any, topic: str
) -> None:
    client = await connected(await rest.device())
    await client.mqtt.publish(topic, b"{}", qos=0)
    await asyncio.wait_for(client.ended.wait(), 10)


@pytest.mark.parametrize("name", ["#", "devices/+/messages/devicebound/#", "$iothub/methods/#", "a/b"])
async def test_a_filter_that_iot_hub_does_not_know_ends_the_connection(
    connected: Connector, rest: Any, name: str
) -> None:
    client = await connected(await rest.device())
    asyncio.ensure_future(client.mqtt.subscribe(name)).add_done_callback(lambda done: done.exception())
    await asyncio.wait_for(client.ended.wait(), 10)


async def test_quality_two_ends_the_connection(hub: Any, rest: Any) -> None:
    device = await rest.device()
    path = device.identity.path
    username, topic = f"{device.host}/{path}/?api-version=2021-04-12", f"devices/{path}/messages/events/"
    reader, writer = await asyncio.open_connection(hub.host, 8883, ssl=hub.tls)
    writer.write(encode(Connect(client_id=path, username=username, password=device.token().encode())))
    assert await reader.readexactly(4) == encode(ConnAck())
    writer.write(encode(Publish(topic=topic, qos=2, packet_id=1)))
    assert await reader.read() == b""
    writer.close()


async def test_a_message_beyond_256_kilobytes_ends_the_connection(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.events(device, b"x" * (256 * 1024))
    await client.events(device, b"x" * (256 * 1024 + 1), qos=0)
    await asyncio.wait_for(client.ended.wait(), 10)


async def test_a_newer_connection_takes_over(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    first = await connected(device)
    second = await connected(device)
    await asyncio.wait_for(first.ended.wait(), 10)
    await second.events(device)
    assert (await rest.call("GET", f"/devices/{device.identity.device_id}")).body["connectionState"] == "Connected"


async def test_the_end_of_a_token_ends_the_connection(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device, password=device.token(expires_in=-298))
    await client.events(device)
    await asyncio.wait_for(client.ended.wait(), 10)


async def test_disabling_a_device_ends_its_connection(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    body = {"deviceId": device.identity.device_id, "status": "disabled"}
    await rest.call("PUT", f"/devices/{device.identity.device_id}", body, If_Match="*")
    await asyncio.wait_for(client.ended.wait(), 10)


async def test_deleting_a_device_ends_its_connection_and_its_modules(connected: Connector, rest: Any) -> None:
    module = await rest.device(module="m")
    client = await connected(module)
    await rest.call("DELETE", f"/devices/{module.identity.device_id}", If_Match="*")
    await asyncio.wait_for(client.ended.wait(), 10)


# -- twins


async def test_a_twin_is_read_without_tags_and_metadata(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    body = {"tags": {"a": 1}, "properties": {"desired": {"rate": 5}}}
    await rest.call("PATCH", f"/twins/{device.identity.device_id}", body)
    client = await connected(device)
    await client.mqtt.subscribe(TWIN_RESPONSES_FILTER)
    answer = await client.twin_request("$iothub/twin/GET/?$rid=r1", b" ")
    assert answer.topic == "$iothub/twin/res/200/?$rid=r1"
    assert json.loads(answer.payload) == {"desired": {"rate": 5, "$version": 2}, "reported": {"$version": 1}}


async def test_a_reported_patch_is_answered_with_its_version(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.mqtt.subscribe(TWIN_RESPONSES_FILTER)
    answer = await client.twin_request("$iothub/twin/PATCH/properties/reported/?$rid=7", b'{"t": 1}')
    assert (answer.topic, answer.payload) == ("$iothub/twin/res/204/?$rid=7&$version=2", b"")
    twin = (await rest.call("GET", f"/twins/{device.identity.device_id}")).body
    assert twin["properties"]["reported"]["t"] == 1


@pytest.mark.parametrize(
    ("topic_part", "payload", "status", "code"),
    [
        ("", b"{", 400, 400006),
        ("", b"[]", 400, 400004),
        ("", b'{"a.b": 1}', 400, 400004),
        ("&$version=41", b'{"a": 1}', 412, 412001),
        ("", b'{"a": 1, "$version": 41}', 412, 412001),
    ],
)
async def test_a_bad_reported_patch_is_answered_and_the_connection_stays(
    connected: Connector, rest: Any, topic_part: str, payload: bytes, status: int, code: int
) -> None:
    client = await connected(await rest.device())
    await client.mqtt.subscribe(TWIN_RESPONSES_FILTER)
    answer = await client.twin_request(f"$iothub/twin/PATCH/properties/reported/?$rid=1{topic_part}", payload)
    assert answer.topic == f"$iothub/twin/res/{status}/?$rid=1"
    assert json.loads(answer.payload)["errorCode"] == code
    assert (await client.twin_request("$iothub/twin/GET/?$rid=2")).topic == "$iothub/twin/res/200/?$rid=2"


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_desired_patch_is_pushed_as_written_with_the_granted_quality(
    connected: Connector, rest: Any, qos: int
) -> None:
    device = await rest.device()
    client = await connected(device)
    assert await client.mqtt.subscribe(DESIRED_FILTER, qos=qos) == (qos,)
    body = {"properties": {"desired": {"rate": 5, "old": None}}}
    await rest.call("PATCH", f"/twins/{device.identity.device_id}", body)
    push = await asyncio.wait_for(client.received.get(), 10)
    assert push.topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
    assert push.qos == qos
    assert json.loads(push.payload) == {"rate": 5, "old": None, "$version": 2}


# -- subscriptions and sessions


async def test_quality_two_is_granted_as_one(connected: Connector, rest: Any) -> None:
    client = await connected(await rest.device())
    assert await client.mqtt.subscribe(METHODS_FILTER, qos=2) == (1,)


async def test_a_session_that_is_kept_brings_its_subscriptions_back(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    first = await connected(device, clean_session=False)
    await first.mqtt.subscribe(TWIN_RESPONSES_FILTER)
    await first.mqtt.close()
    second = await connected(device, clean_session=False)
    assert (first.session_present, second.session_present) == (False, True)
    assert (await second.twin_request("$iothub/twin/GET/?$rid=1")).topic == "$iothub/twin/res/200/?$rid=1"


async def test_a_session_outlives_the_hub(own_hub: Any, rest_of: Any) -> None:
    first_hub, client = own_hub(), RawClient()
    device = await rest_of(first_hub).device()
    await client.connect(first_hub, device, clean_session=False)
    await client.mqtt.subscribe(TWIN_RESPONSES_FILTER)
    second_hub = await asyncio.to_thread(own_hub)
    await asyncio.wait_for(client.ended.wait(), 10)
    await client.connect(second_hub, device, clean_session=False)
    assert client.session_present
    assert (await client.twin_request("$iothub/twin/GET/?$rid=1")).topic == "$iothub/twin/res/200/?$rid=1"
    await client.mqtt.close()


async def test_a_clean_session_forgets_the_subscriptions(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    for clean in (False, True):
        client = await connected(device, clean_session=clean)
        if not clean:
            await client.mqtt.subscribe(DESIRED_FILTER)
        await client.mqtt.close()
    assert not (await connected(device, clean_session=False)).session_present


async def test_a_device_made_anew_starts_without_a_session(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device, clean_session=False)
    await client.mqtt.subscribe(DESIRED_FILTER)
    await client.mqtt.close()
    path, key = f"/devices/{device.identity.device_id}", {"primaryKey": device.key, "secondaryKey": device.key}
    await rest.call("DELETE", path, If_Match="*")
    body = {"deviceId": device.identity.device_id, "authentication": {"type": "sas", "symmetricKey": key}}
    assert (await rest.call("PUT", path, body)).status == 200
    assert not (await connected(device, clean_session=False)).session_present


async def test_an_unsubscribed_device_is_not_called(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.mqtt.subscribe(METHODS_FILTER)
    await client.mqtt.unsubscribe(METHODS_FILTER)
    answer = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", {"methodName": "m"})
    assert answer.headers["iothub-errorcode"] == "DeviceNotOnline"


async def test_modules_may_ask_for_inputs_and_devices_for_messages(connected: Connector, rest: Any) -> None:
    module = await rest.device(module="m")
    assert await (await connected(module)).mqtt.subscribe(inputs_filter(module.identity)) == (1,)
    device = await rest.device()
    name = f"devices/{device.identity.device_id}/messages/devicebound/#"
    assert await (await connected(device)).mqtt.subscribe(name) == (1,)


# -- methods


async def test_a_method_goes_out_and_its_answer_comes_back(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.mqtt.subscribe(METHODS_FILTER)
    body = {"methodName": "reboot", "payload": {"in": 1}}
    call = asyncio.create_task(rest.call("POST", f"/twins/{device.identity.device_id}/methods", body))
    request = await asyncio.wait_for(client.received.get(), 10)
    topic, _, request_id = request.topic.partition("/?$rid=")
    assert topic == "$iothub/methods/POST/reboot"
    assert json.loads(request.payload) == {"in": 1}
    await client.mqtt.publish(f"$iothub/methods/res/201/?$rid={request_id}", b'{"done": true}')
    assert (await call).body == {"status": 201, "payload": {"done": True}}


async def test_a_call_fails_when_the_device_hangs_up_before_it_answers(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.mqtt.subscribe(METHODS_FILTER)
    path = f"/twins/{device.identity.device_id}/methods"
    call = asyncio.create_task(rest.call("POST", path, {"methodName": "m"}))
    await asyncio.wait_for(client.received.get(), 10)
    await client.mqtt.close()
    assert (await call).headers["iothub-errorcode"] == "DeviceConnectionClosedRemotely"


async def test_an_answer_to_no_call_is_passed_over(connected: Connector, rest: Any) -> None:
    device = await rest.device()
    client = await connected(device)
    await client.mqtt.publish("$iothub/methods/res/200/?$rid=ffff", b"{}")
    await client.events(device)
