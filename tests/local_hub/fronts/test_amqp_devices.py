"""Links of devices and modules over AMQP, by a client on our own engine."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from iot_core.amqp import ACCEPTED, RELEASED, ClientSasl, Message, Properties, Rejected
from iot_core.amqp.types import Int, Symbol
from tests.local_hub.device_certificates import make_certificate
from tests.local_hub.fronts.amqp_bench import connected, device, is_accepted, reason, text
from transport.amqp_client import AmqpClient, AmqpError


def path_of(found: Any, rest: str) -> str:
    module = f"/modules/{found.identity.module_id}" if found.identity.module_id else ""
    return f"/devices/{found.identity.device_id}{module}/{rest}"


def request(operation: str, resource: str, body: str = " ") -> Message:
    annotations = {Symbol("operation"): operation, Symbol("resource"): resource}
    return text(body, properties=Properties(correlation_id=str(uuid.uuid4())), message_annotations=annotations)


class Twin:
    """The two links of a device's twin."""

    def __init__(self, sender: Any, receiver: Any) -> None:
        self.sender, self.receiver = sender, receiver

    @classmethod
    async def open(cls, client: AmqpClient, found: Any) -> Twin:
        properties = {Symbol("com.microsoft:channel-correlation-id"): f"twin:{uuid.uuid4()}"}
        address = path_of(found, "twin")
        receiver = await client.receiver(address, properties=properties)
        return cls(await client.sender(address, properties=properties), receiver)

    async def ask(self, operation: str, resource: str, body: str = " ") -> tuple[dict[Any, Any], Any]:
        asked = request(operation, resource, body)
        assert is_accepted(await self.sender.send(asked))
        answer = await self.next()
        assert answer.properties is not None
        assert asked.properties is not None
        assert answer.properties.correlation_id == asked.properties.correlation_id
        return answer.message_annotations or {}, json.loads(answer.data) if answer.data else None

    async def next(self) -> Message:
        delivery = await self.receiver.receive()
        self.receiver.settle(delivery, ACCEPTED)
        message: Message = delivery.message()
        return message


async def test_telemetry_is_accepted_and_seen(hub: Any, rest: Any, trace: Any) -> None:
    found = await rest.device()
    async with trace(found.identity.device_id) as events, await device(hub, found) as client:
        sender = await client.sender(path_of(found, "messages/events"))
        message = text(
            '{"t": 1}',
            properties=Properties(message_id="m1", content_type="application/json", content_encoding="utf-8"),
            application_properties={"room": "1", "iothub-outputname": "out"},
        )
        assert is_accepted(await sender.send(message))
        event = await events.source("Telemetry")
    assert (event["body"], event["properties"]) == ({"t": 1}, {"room": "1"})
    assert event["systemProperties"]["messageId"] == "m1"
    assert event["systemProperties"]["outputName"] == "out"
    assert json.loads(event["systemProperties"]["connectionAuthMethod"])["scope"] == "device"


async def test_a_message_over_256_kib_is_rejected_with_the_reason(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await device(hub, found) as client:
        sender = await client.sender(path_of(found, "messages/events"))
        state = await sender.send(text("x" * 300_000))
        assert isinstance(state, Rejected)
        assert state.error is not None
        assert state.error.condition == "amqp:link:message-size-exceeded"
        assert reason(state.error.description or "")["errorCode"] == 413001
        assert is_accepted(await sender.send(text("small")))


async def test_a_device_is_connected_while_it_has_links(hub: Any, rest: Any, eventually: Any) -> None:
    found = await rest.device()
    path = f"/devices/{found.identity.device_id}"
    async with await device(hub, found) as client:
        sender = await client.sender(path_of(found, "messages/events"))
        assert (await rest.call("GET", path)).body["connectionState"] == "Connected"
        await sender.detach()

        async def is_gone() -> bool:
            return bool((await rest.call("GET", path)).body["connectionState"] == "Disconnected")

        await eventually(is_gone)


async def test_the_twin_is_read_patched_and_followed(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await device(hub, found) as client:
        twin = await Twin.open(client, found)
        annotations, body = await twin.ask("GET", "")
        assert (annotations["status"], body["desired"], body["reported"]) == (200, {"$version": 1}, {"$version": 1})
        annotations, _ = await twin.ask("PATCH", "/properties/reported", '{"fan": "on"}')
        assert (annotations["status"], annotations["version"]) == (204, 2)
        await twin.ask("PUT", "/notifications/twin/properties/desired")
        patch = {"properties": {"desired": {"interval": 5}}}
        assert (await rest.call("PATCH", f"/twins/{found.identity.device_id}", patch)).status == 200
        pushed = await twin.next()
        assert json.loads(pushed.data) == {"interval": 5, "$version": 2}
        assert pushed.properties is None
        await twin.ask("DELETE", "/notifications/twin/properties/desired")
        await rest.call("PATCH", f"/twins/{found.identity.device_id}", patch)
        annotations, body = await twin.ask("GET", "")
        assert body["reported"] == {"fan": "on", "$version": 2}


@pytest.mark.parametrize(
    ("operation", "resource", "body", "status"),
    [("PATCH", "/properties/reported", "[1]", 400), ("PATCH", "/elsewhere", "{}", 400), ("DROP", "", " ", 400)],
)
async def test_bad_twin_requests_are_answered(
    hub: Any, rest: Any, operation: str, resource: str, body: str, status: int
) -> None:
    found = await rest.device("m")
    async with await device(hub, found) as client:
        annotations, answer = await (await Twin.open(client, found)).ask(operation, resource, body)
        assert annotations["status"] == status
        assert answer["errorCode"] // 1000 == status


async def test_a_direct_method_is_called_and_answered(hub: Any, rest: Any) -> None:
    found = await rest.device("camera")
    address = path_of(found, "methods/devicebound")
    async with await device(hub, found) as client:
        calls, answers = await client.receiver(address), await client.sender(address)
        target = f"/twins/{found.identity.device_id}/modules/camera/methods"
        calling = asyncio.create_task(rest.call("POST", target, {"methodName": "shoot", "payload": {"n": 2}}))
        delivery = await calls.receive()
        calls.settle(delivery, ACCEPTED)
        call = delivery.message()
        assert (call.application_properties, json.loads(call.data)) == ({"IoThub-methodname": "shoot"}, {"n": 2})
        answer = text(
            '"done"',
            properties=Properties(correlation_id=properties_of(call).correlation_id),
            application_properties={"IoThub-status": Int(201)},
        )
        assert is_accepted(await answers.send(answer))
        assert (await calling).body == {"status": 201, "payload": "done"}


async def test_a_method_fails_at_once_when_the_device_goes(hub: Any, rest: Any) -> None:
    found = await rest.device()
    client = await device(hub, found)
    calls = await client.receiver(path_of(found, "methods/devicebound"))
    target = f"/twins/{found.identity.device_id}/methods"
    calling = asyncio.create_task(rest.call("POST", target, {"methodName": "wait"}))
    await calls.receive()
    await client.close()
    assert (await calling).headers["iothub-errorcode"] == "DeviceConnectionClosedRemotely"


def properties_of(message: Message) -> Properties:
    assert message.properties is not None
    return message.properties


def annotations_of(message: Message) -> dict[Any, Any]:
    assert message.message_annotations is not None
    return message.message_annotations


async def test_c2d_messages_are_completed_rejected_and_abandoned(hub: Any, rest: Any, send_c2d: Any) -> None:
    found = await rest.device()
    for body in ("keep", "refuse", "later"):
        await send_c2d(hub, found, body, properties={"iothub-ack": "none", "colour": "red"})
    async with await device(hub, found) as client:
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        first, second, third = [await receiver.receive() for _ in range(3)]
        message = first.message()
        assert message.data == b"keep"
        assert properties_of(message).to == f"/devices/{found.identity.device_id}/messages/deviceBound"
        assert message.application_properties == {"iothub-ack": "none", "colour": "red"}
        assert first.tag == annotations_of(message)["x-opt-lock-token"].bytes_le
        receiver.settle(first, ACCEPTED)
        receiver.settle(second, Rejected())
        receiver.settle(third, RELEASED)
        again = await receiver.receive()
        assert again.message().data == b"later"
        assert annotations_of(again.message())["iothub-deliverycount"] == 1
        receiver.settle(again, ACCEPTED)


async def test_what_was_not_settled_comes_again_with_the_next_link(hub: Any, rest: Any, send_c2d: Any) -> None:
    found = await rest.device()
    await send_c2d(hub, found, "hello")
    async with await device(hub, found) as client:
        await (await client.receiver(path_of(found, "messages/devicebound"))).receive()
    async with await device(hub, found) as client:
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        delivery = await receiver.receive()
        assert annotations_of(delivery.message())["iothub-deliverycount"] == 0
        receiver.settle(delivery, ACCEPTED)


async def test_credit_bounds_what_is_sent_and_a_drain_gives_it_back(hub: Any, rest: Any, send_c2d: Any) -> None:
    found = await rest.device()
    for body in ("1", "2", "3"):
        await send_c2d(hub, found, body)
    async with await device(hub, found) as client:
        receiver = await client.receiver(path_of(found, "messages/devicebound"), credit=0)
        receiver.link.send_flow(2, drain=True)
        client.flush()
        received = [(await receiver.receive()).message().data for _ in range(2)]
        receiver.link.send_flow(5, drain=True)
        client.flush()
        received.append((await receiver.receive()).message().data)
        assert received == [b"1", b"2", b"3"]


async def test_another_connection_takes_over(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await device(hub, found) as first, await device(hub, found) as second:
        receiver = await first.receiver(path_of(found, "messages/devicebound"))
        await second.sender(path_of(found, "messages/events"))
        with pytest.raises(AmqpError, match="409002"):
            await receiver.receive()


async def test_links_end_when_the_device_is_deleted(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await device(hub, found) as client:
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        await rest.call("DELETE", f"/devices/{found.identity.device_id}", If_Match='"*"')
        with pytest.raises(AmqpError):
            await receiver.receive()


async def test_links_end_when_their_token_expires(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await connected(hub) as client:
        await client.put_token("device", found.token(expires_in=-298.0))
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        with pytest.raises(AmqpError) as caught:
            await receiver.receive()
    assert caught.value.condition == "amqp:unauthorized-access"


async def test_a_renewed_token_keeps_the_links(hub: Any, rest: Any, send_c2d: Any) -> None:
    found = await rest.device()
    async with await connected(hub) as client:
        await client.put_token("device", found.token(expires_in=-298.0))
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        await client.put_token("device", found.token())
        # The first token is over once one of the same age has ended the links of another device.
        async with await connected(hub) as client_of_other:
            other = await rest.device()
            await client_of_other.put_token("other", other.token(expires_in=-298.0))
            with pytest.raises(AmqpError):
                await (await client_of_other.receiver(path_of(other, "twin"))).receive()
        await send_c2d(hub, found, "still here")
        assert (await receiver.receive()).message().data == b"still here"


@pytest.mark.parametrize("rest_of_path", ["messages/events", "messages/devicebound", "twin", "methods/devicebound"])
async def test_no_link_without_a_token_or_with_that_of_another(hub: Any, rest: Any, rest_of_path: str) -> None:
    found, other = await rest.device(), await rest.device()
    async with await device(hub, other) as client:
        with pytest.raises(AmqpError) as caught:
            await client.receiver(path_of(found, rest_of_path)) if rest_of_path != "messages/events" else (
                await client.sender(path_of(found, rest_of_path))
            )
    assert caught.value.condition == "amqp:unauthorized-access"


async def test_sasl_plain_logs_a_device_in(hub: Any, rest: Any) -> None:
    found = await rest.device()
    login = ClientSasl.plain(f"{found.identity.device_id}@sas.local", found.token())
    async with await connected(hub, sasl=login) as client:
        sender = await client.sender(path_of(found, "messages/events"))
        assert is_accepted(await sender.send(text("x")))


@pytest.mark.parametrize(
    "login",
    [ClientSasl.plain("iothubowner@sas.root.local", "nonsense"), ClientSasl(mechanism="EXTERNAL")],
    ids=["bad token", "no certificate"],
)
async def test_a_bad_log_in_is_refused(hub: Any, login: ClientSasl) -> None:
    with pytest.raises(AmqpError, match="refused"):
        await connected(hub, sasl=login)


async def test_a_device_logs_in_with_its_certificate(hub: Any, rest: Any, tmp_path: Path) -> None:
    certificate = make_certificate("over amqp")
    thumbprint = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": certificate.sha256}}
    device_id = f"x-{uuid.uuid4().hex[:8]}"
    await rest.call("PUT", f"/devices/{device_id}", {"deviceId": device_id, "authentication": thumbprint})
    tls = hub.tls
    certificate_file, key_file = certificate.save(tmp_path)
    tls.load_cert_chain(certificate_file, key_file)
    login = ClientSasl(mechanism="EXTERNAL")
    async with await AmqpClient.connect(hub.host, hub.running["amqp_port"], tls, sasl=login) as client:
        sender = await client.sender(f"/devices/{device_id}/messages/events")
        assert is_accepted(await sender.send(text("x")))
        with pytest.raises(AmqpError, match="401003"):
            await client.sender("/devices/another/messages/events")


async def test_a_model_is_announced(hub: Any, rest: Any, eventually: Any) -> None:
    found = await rest.device()
    model = "dtmi:com:example:Thermostat;1"
    async with await device(hub, found) as client:
        await client.sender(path_of(found, "messages/events"), properties={Symbol("com.microsoft:model-id"): model})

        async def is_in_the_twin() -> bool:
            twin = await rest.call("GET", f"/twins/{found.identity.device_id}")
            return bool(twin.body["modelId"] == model)

        await eventually(is_in_the_twin)


async def test_a_message_that_the_client_cannot_take_ends_its_link(hub: Any, rest: Any, send_c2d: Any) -> None:
    found = await rest.device()
    await send_c2d(hub, found, "x" * 5000)
    async with await device(hub, found, max_message_size=1000) as client:
        receiver = await client.receiver(path_of(found, "messages/devicebound"))
        with pytest.raises(AmqpError, match="longer than the 1000") as caught:
            await receiver.receive()
    assert caught.value.condition == "amqp:link:message-size-exceeded"


async def test_a_client_may_open_without_sasl(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await connected(hub, sasl=None) as client:
        await client.put_token(found.identity.resource(hub.host), found.token())
        sender = await client.sender(path_of(found, "messages/events"))
        assert is_accepted(await sender.send(text("x")))


async def test_module_inputs_are_refused_by_name(hub: Any, rest: Any) -> None:
    found = await rest.device("m")
    async with await device(hub, found) as client:
        with pytest.raises(AmqpError, match="Module inputs on the hub") as caught:
            await client.receiver(path_of(found, "messages/events"))
    assert caught.value.condition == "amqp:not-implemented"
