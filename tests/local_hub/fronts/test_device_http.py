"""Devices over HTTPS: telemetry, and messages received and settled; feedback and purges for services."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from iot_core import sas
from tests.local_hub.http_sessions import http_session

Send = Callable[..., Awaitable[dict[str, Any]]]
Http = Callable[..., Awaitable["Answered"]]
BATCH = "application/vnd.microsoft.iothub.json"


class Answered:
    """A status, headers (names in any case) and the body's bytes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def token(self) -> str:
        return self.headers["ETag"].strip('"')

    @property
    def error(self) -> tuple[int, str | None]:
        return self.status, self.headers.get("iothub-errorcode")


@pytest.fixture
async def http(hub: Any) -> AsyncIterator[Http]:
    """Calls a path below a device's own, with the device's token unless another is given."""
    async with http_session() as session:

        async def call(
            verb: str, device: Any, path: str, body: bytes = b"", *, token: str | None = None, **headers: str
        ) -> Answered:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            sent["Authorization"] = token or device.token()
            base = f"https://{hub.owner.host_name}/devices/{device.identity.device_id}"
            url = f"{base}{path}{'&' if '?' in path else '?'}api-version=2021-04-12"
            async with session.request(verb, url, data=body, headers=sent, ssl=hub.tls) as reply:
                return Answered(reply.status, reply.headers, await reply.read())

        yield call


BOUND = "/messages/devicebound"


# -- telemetry


async def test_a_message_is_taken_with_the_properties_in_its_headers(http: Http, rest: Any, trace: Any) -> None:
    device = await rest.device()
    headers = {
        "iothub-app-Room": "a b",
        "IoTHub-MessageId": "m1",
        "IoTHub-CorrelationId": "c1",
        "iothub-contenttype": "application/json",
        "iothub-contentencoding": "utf-8",
        "dt-subject": "thermostat",
    }
    async with trace(device.identity.device_id) as events:
        answer = await http("POST", device, "/messages/events", b'{"t": 21}', **headers)
        event = await events.source("Telemetry")
    assert (answer.status, answer.body) == (204, b"")
    assert (event["body"], event["properties"]) == ({"t": 21}, {"Room": "a b"})
    system = event["systemProperties"]
    assert (system["messageId"], system["correlationId"], system["subject"]) == ("m1", "c1", "thermostat")
    assert (system["connectionDeviceId"], json.loads(system["connectionAuthMethod"])["type"]) == (
        device.identity.device_id,
        "sas",
    )


async def test_a_batch_is_taken_message_by_message_in_order(http: Http, rest: Any, trace: Any) -> None:
    device = await rest.device()
    batch = [
        {"body": base64.b64encode(b"%d" % number).decode(), "properties": {"iothub-app-n": str(number)}}
        for number in range(5)
    ]
    async with trace(device.identity.device_id) as events:
        answer = await http("POST", device, "/messages/events", json.dumps(batch).encode(), Content_Type=BATCH)
        seen = [await events.source("Telemetry") for _ in range(5)]
    assert answer.status == 204
    assert [(event["body"], event["properties"]) for event in seen] == [(str(n), {"n": str(n)}) for n in range(5)]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", (400, "IotHubFormatError")),
        (b"{}", (400, "ArgumentInvalid")),
        (b'[{"body": "%%%"}]', (400, "ArgumentInvalid")),
        (b'[{"body": 1}]', (400, "ArgumentInvalid")),
        (b'[{"body": "", "properties": {"a": 1}}]', (400, "ArgumentInvalid")),
    ],
)
async def test_a_batch_of_another_shape_is_refused(http: Http, rest: Any, body: bytes, error: tuple[int, str]) -> None:
    answer = await http("POST", await rest.device(), "/messages/events", body, Content_Type=BATCH)
    assert answer.error == error


async def test_more_than_256_kib_are_refused_in_one_message_and_in_a_batch(http: Http, rest: Any) -> None:
    device = await rest.device()
    half = base64.b64encode(b"x" * 131_073).decode()
    batch = json.dumps([{"body": half}, {"body": half}]).encode()
    assert (await http("POST", device, "/messages/events", b"x" * 262_145)).error == (413, "MessageTooLarge")
    assert (await http("POST", device, "/messages/events", batch, Content_Type=BATCH)).error == (413, "MessageTooLarge")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/messages/events"),
        ("GET", BOUND),
        ("DELETE", f"{BOUND}/t"),
        ("POST", f"{BOUND}/t/abandon"),
    ],
)
async def test_only_the_device_itself_and_policies_for_devices_may_call(
    hub: Any, http: Http, rest: Any, verb: str, path: str
) -> None:
    device, other = await rest.device(), await rest.device()
    assert (await http(verb, device, path, token=other.token())).status == 401
    owner = hub.owner
    token = sas.sign(device.host, owner.shared_access_key, int(time.time() + 60), owner.shared_access_key_name)
    assert (await http(verb, device, path, token=token)).status in (200, 204, 412)


async def test_modules_have_no_endpoint_for_messages(http: Http, rest: Any) -> None:
    module = await rest.device(module="m")
    assert (await http("POST", module, "/modules/m/messages/events", b"x")).status == 404


# -- cloud-to-device messages


async def test_an_empty_queue_is_204(http: Http, rest: Any) -> None:
    answer = await http("GET", await rest.device(), BOUND)
    assert (answer.status, answer.body) == (204, b"")


async def test_a_message_comes_with_its_properties_in_headers(hub: Any, http: Http, rest: Any, send_c2d: Send) -> None:
    device = await rest.device()
    given = {"messageId": "m1", "correlationId": "c1", "userId": "u1", "ack": "full", "contentType": "text/plain"}
    sent = await send_c2d(hub, device, "hi", properties={"Room": "a b"}, **given)
    answer = await http("GET", device, "/messages/deviceBound")
    headers = answer.headers
    assert (answer.status, answer.body) == (200, b"hi")
    assert headers["ETag"] == f'"{answer.token}"'
    assert (headers["iothub-messageid"], headers["iothub-correlationid"], headers["iothub-userid"]) == (
        "m1",
        "c1",
        "u1",
    )
    assert (headers["iothub-ack"], headers["iothub-contenttype"]) == ("full", "text/plain")
    assert headers["iothub-to"] == f"/devices/{device.identity.device_id}/messages/deviceBound"
    assert headers["iothub-enqueuedtime"] == sent["enqueuedTimeUtc"]
    assert (headers["iothub-deliverycount"], headers["iothub-sequencenumber"]) == ("0", str(sent["sequenceNumber"]))
    assert headers["iothub-app-Room"] == "a b"


async def test_what_no_header_can_hold_is_percent_encoded(hub: Any, http: Http, rest: Any, send_c2d: Send) -> None:
    device = await rest.device()
    await send_c2d(hub, device, properties={"a b": "100 %\r\nü"})
    headers = (await http("GET", device, BOUND)).headers
    assert headers["iothub-app-a%20b"] == "100 %25%0D%0A%C3%BC"


@pytest.mark.parametrize(
    ("verb", "suffix", "left"), [("DELETE", "", 0), ("DELETE", "?reject", 0), ("POST", "/abandon", 1)]
)
async def test_a_message_is_completed_rejected_or_abandoned(
    hub: Any, http: Http, rest: Any, send_c2d: Send, verb: str, suffix: str, left: int
) -> None:
    device = await rest.device()
    await send_c2d(hub, device, "1")
    token = (await http("GET", device, BOUND)).token
    path = f"{BOUND}/{token}{suffix}"
    assert (await http(verb, device, path, If_Match=token)).status == 204
    assert (await http(verb, device, path)).error == (412, "DeviceMessageLockLost")
    identity = await rest.call("GET", f"/devices/{device.identity.device_id}")
    assert identity.body["cloudToDeviceMessageCount"] == left


async def test_an_abandoned_message_comes_again_counted(hub: Any, http: Http, rest: Any, send_c2d: Send) -> None:
    device = await rest.device()
    await send_c2d(hub, device, "1")
    await http("POST", device, f"{BOUND}/{(await http('GET', device, BOUND)).token}/abandon")
    again = await http("GET", device, BOUND)
    assert (again.body, again.headers["iothub-deliverycount"]) == (b"1", "1")


# -- for services


async def test_a_purge_says_how_many_there_were(hub: Any, rest: Any, send_c2d: Send) -> None:
    device = await rest.device()
    name = device.identity.device_id
    for _ in range(3):
        await send_c2d(hub, device)
    answer = await rest.call("DELETE", f"/devices/{name}/commands")
    assert (answer.status, answer.body) == (
        200,
        {"totalMessagesPurged": 3, "deviceId": name, "moduleId": None},
    )
    missing = await rest.call("DELETE", "/devices/nobody/commands")
    assert (missing.status, missing.headers["iothub-errorcode"]) == (404, "DeviceNotFound")


async def test_feedback_is_received_abandoned_and_completed(own_hub: Any, rest_of: Any, send_c2d: Send) -> None:
    hub = own_hub()
    rest, path = rest_of(hub), "/messages/servicebound/feedback"
    device = await rest.device()
    assert (await rest.call("GET", path)).status == 204
    await send_c2d(hub, device, messageId="m1", ack="negative")
    await rest.call("DELETE", f"/devices/{device.identity.device_id}/commands")
    batch = await rest.call("GET", path)
    assert batch.headers["Content-Type"] == "application/vnd.microsoft.iothub.feedback.json"
    assert (batch.headers["iothub-userid"], batch.headers["iothub-deliverycount"]) == ("local", "0")
    (record,) = batch.body
    assert (record["originalMessageId"], record["statusCode"], record["deviceId"]) == (
        "m1",
        "Purged",
        device.identity.device_id,
    )
    token = batch.headers["ETag"].strip('"')
    assert (await rest.call("POST", f"{path}/{token}/abandon")).status == 204
    again = await rest.call("GET", path)
    assert again.headers["iothub-deliverycount"] == "1"
    token = again.headers["ETag"].strip('"')
    assert (await rest.call("DELETE", f"{path}/{token}")).status == 204
    assert (await rest.call("DELETE", f"{path}/{token}")).headers["iothub-errorcode"] == "DeviceMessageLockLost"


# -- the admin door


@pytest.mark.parametrize(
    ("message", "status", "said"),
    [
        ({"deviceId": "nobody"}, 404, "nobody not registered"),
        ({}, 400, "deviceId"),
        ([], 400, "object"),
        ({"deviceId": "d", "ack": "maybe"}, 400, "none, positive, negative or full"),
        ({"deviceId": "d", "color": "red"}, 400, "'color'"),
        ({"deviceId": "d", "bodyBase64": "%"}, 400, "base64"),
        ({"deviceId": "d", "properties": {"a": 1}}, 400, "object of texts"),
        ({"deviceId": "d", "expiryTimeUtc": "2001-01-01T00:00:00Z"}, 403, "expiry"),
    ],
)
async def test_the_admin_door_says_what_is_wrong_with_a_message(
    admin_door: Any, message: Any, status: int, said: str
) -> None:
    url, headers = admin_door
    async with http_session() as session, session.post(url("/c2d"), json=message, headers=headers) as reply:
        assert reply.status == status
        assert said in await reply.text()


async def test_the_admin_door_sends_bytes(hub: Any, http: Http, rest: Any, send_c2d: Send) -> None:
    device = await rest.device()
    await send_c2d(hub, device, bodyBase64=base64.b64encode(b"\x00\xff").decode())
    assert (await http("GET", device, BOUND)).body == b"\x00\xff"
