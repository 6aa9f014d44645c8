"""The provisioning service over AMQP, by a client on our own engine; Node's SDK does the same in tests/node."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from iot_core import sas
from iot_core.amqp import ACCEPTED, AmqpValue, ClientSasl, Message, Properties, Rejected
from iot_core.connection_string import ConnectionString
from local_hub.environment import hub_environment
from tests.local_hub.device_certificates import make_certificate
from tests.local_hub.fronts.amqp_bench import connected, is_accepted, reason, service, text
from transport.amqp_client import AmqpClient, AmqpError


class Enrolled:
    """A registration that has a key."""

    def __init__(self, hub: Any, registration_id: str, key: str) -> None:
        self._hub, self.id, self._key = hub, registration_id, key
        self.resource = f"{hub_environment(hub.home)['PROVISIONING_IDSCOPE']}/registrations/{registration_id}"

    async def connect(self, key: str | None = None) -> AmqpClient:
        token = sas.sign(self.resource, key or self._key, int(time.time()) + 60, "registration")
        return await connected(self._hub, sasl=ClientSasl.plain(self.resource, token, self._hub.host))


class Links:
    """The two links of a device."""

    def __init__(self, sender: Any, receiver: Any) -> None:
        self._sender, self._receiver = sender, receiver

    @classmethod
    async def open(cls, client: AmqpClient, address: str) -> Links:
        receiver = await client.receiver(address)
        return cls(await client.sender(address), receiver)

    async def send(self, operation: str, body: str = "", **more: Any) -> Any:
        """The outcome of a request."""
        asked = {"iotdps-operation-type": operation, **more}
        return await self._sender.send(
            text(body, properties=Properties(correlation_id="c-1"), application_properties=asked)
        )

    async def ask(self, operation: str, body: str = "", **more: Any) -> tuple[Message, dict[str, Any]]:
        """The answer and its body."""
        assert is_accepted(await self.send(operation, body, **more))
        delivery = await self._receiver.receive()
        self._receiver.settle(delivery, ACCEPTED)
        message = delivery.message()
        return message, json.loads(message.data)


def refusal(outcome: object) -> tuple[str, dict[str, Any]]:
    assert isinstance(outcome, Rejected)
    assert outcome.error is not None
    return outcome.error.condition, reason(outcome.error.description or "")


@pytest.fixture
def owner(hub: Any) -> str:
    return sas.token_for(ConnectionString.parse(hub_environment(hub.home)["DPS_CONNECTION_STRING"]), time.time())


@pytest.fixture
async def enrolled(hub: Any, rest: Any, owner: str) -> Enrolled:
    name = f"sn-{uuid.uuid4().hex[:8]}"
    made = await rest.call("PUT", f"/enrollments/{name}", {"attestation": {"type": "symmetricKey"}}, token=owner)
    return Enrolled(hub, name, made.body["attestation"]["symmetricKey"]["primaryKey"])


async def test_a_device_registers_asks_and_looks_itself_up(hub: Any, enrolled: Enrolled) -> None:
    async with await enrolled.connect() as client:
        links = await Links.open(client, enrolled.resource)
        message, taken = await links.ask("iotdps-register", json.dumps({"registrationId": enrolled.id}))
        assert message.properties is not None
        assert (message.properties.correlation_id, taken["status"]) == ("c-1", "assigning")
        assert (message.application_properties or {})["retry-after"] == 3
        operation = {"iotdps-operation-id": taken["operationId"]}
        _, done = await links.ask("iotdps-get-operationstatus", **operation)
        assert (done["status"], done["registrationState"]["assignedHub"]) == ("assigned", hub.host)
        _, state = await links.ask("iotdps-get-registration")
        assert state == done["registrationState"]


async def test_a_certificate_is_judged_with_its_link(
    hub: Any, rest: Any, owner: str, enrolled: Enrolled, tmp_path: Path
) -> None:
    name = f"x-{uuid.uuid4().hex[:8]}"
    certificate = make_certificate(name)
    block = {"clientCertificates": {"primary": {"certificate": certificate.pem.decode()}}}
    await rest.call("PUT", f"/enrollments/{name}", {"attestation": {"type": "x509", "x509": block}}, token=owner)
    tls = hub.tls
    tls.load_cert_chain(*certificate.save(tmp_path))
    client = await AmqpClient.connect(hub.host, hub.running["amqp_port"], tls, sasl=ClientSasl(mechanism="EXTERNAL"))
    async with client:
        links = await Links.open(client, Enrolled(hub, name, "").resource)
        assert (await links.ask("iotdps-register"))[1]["status"] == "assigning"
        with pytest.raises(AmqpError, match="Unauthorized"):
            await client.sender(enrolled.resource)


async def test_a_wrong_key_is_not_let_in(enrolled: Enrolled) -> None:
    with pytest.raises(AmqpError, match="refused"):
        await enrolled.connect(key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")


async def test_a_name_that_no_registration_can_have_is_not_let_in(hub: Any) -> None:
    with pytest.raises(AmqpError, match="refused"):
        await connected(hub, sasl=ClientSasl.plain("0ne00000000/registrations/no spaces", "x", hub.host))


async def test_nobody_reaches_another_registration(hub: Any, enrolled: Enrolled) -> None:
    for client in (await enrolled.connect(), await service(hub)):
        async with client:
            with pytest.raises(AmqpError) as refused:
                await client.sender(f"{enrolled.resource}x")
            assert refused.value.condition == "amqp:unauthorized-access"
            assert reason(str(refused.value))["errorCode"] == 401002


async def test_refusals_are_the_outcome_of_a_request(enrolled: Enrolled) -> None:
    async with await enrolled.connect() as client:
        links = await Links.open(client, enrolled.resource)
        condition, body = refusal(await links.send("iotdps-get-operationstatus", **{"iotdps-operation-id": "4.x"}))
        assert (condition, body["errorCode"]) == ("amqp:not-found", 404203)
        for wrong in (("iotdps-register", "{"), ("iotdps-register", '{"registrationId":"b"}'), ("nothing", "")):
            condition, body = refusal(await links.send(*wrong))
            assert (condition, body["errorCode"]) == ("com.microsoft:argument-error", 400000)


async def test_a_body_that_is_no_data_is_refused(enrolled: Enrolled) -> None:
    async with await enrolled.connect() as client:
        sender = await client.sender(enrolled.resource)
        asked = {"iotdps-operation-type": "iotdps-register"}
        outcome = await sender.send(Message(body=AmqpValue(7), application_properties=asked))
        assert refusal(outcome)[1]["errorCode"] == 400000
