"""azure-iot-device's ProvisioningDeviceClient, unmodified: it registers, and its device then connects to the hub."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient
from azure.iot.device.exceptions import ClientError, CredentialError

from iot_core import sas
from iot_core.connection_string import ConnectionString
from iot_core.identity import derive_device_key
from local_hub.environment import hub_environment
from tests.local_hub.device_certificates import TestCertificate, make_certificate

pytestmark = [
    pytest.mark.acceptance,
    # paho-mqtt, inside the SDK, leaves its wake-up sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning"),
]
Enroll = Callable[..., Awaitable[dict[str, Any]]]


class Yard:
    """One hub's provisioning service: what services write, what devices ask."""

    def __init__(self, hub: Any, rest: Any, folder: Path) -> None:
        self.hub, self.rest, self.folder = hub, rest, folder
        self.variables = hub_environment(hub.home)
        self.clients: list[Any] = []

    async def enroll(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        owner = ConnectionString.parse(self.variables["DPS_CONNECTION_STRING"])
        token = sas.token_for(owner, 2_000_000_000)
        answer = await self.rest.call("PUT", path, body, token=token, query="api-version=2021-10-01", **headers)
        assert answer.status == 200, answer
        enrollment: dict[str, Any] = answer.body
        return enrollment

    async def register(self, registration_id: str, credential: str | TestCertificate, payload: Any = None) -> Any:
        """The SDK's registration result, with a key or a certificate."""
        common = {
            "provisioning_host": self.variables["PROVISIONING_HOST"],
            "registration_id": registration_id,
            "id_scope": self.variables["PROVISIONING_IDSCOPE"],
            "server_verification_cert": self.hub.ca_file.read_text(),
        }
        if isinstance(credential, str):
            client = ProvisioningDeviceClient.create_from_symmetric_key(symmetric_key=credential, **common)
        else:
            client = ProvisioningDeviceClient.create_from_x509_certificate(
                x509=X509(*credential.save(self.folder)), **common
            )
        client.provisioning_payload = payload
        try:
            return await client.register()
        except Exception:
            await _end(client)
            raise

    async def refused(self, registration_id: str, credential: str | TestCertificate) -> str:
        """What the SDK says of a registration that the service answers with a refusal."""
        with pytest.raises(ClientError) as caught:
            await self.register(registration_id, credential)
        return str(caught.value.__cause__)

    async def connect(self, state: Any, credential: str | TestCertificate) -> Any:
        """A device client, connected to the hub that the registration named."""
        options = {"hostname": state.assigned_hub, "device_id": state.device_id}
        ca = self.hub.ca_file.read_text()
        if isinstance(credential, str):
            client = IoTHubDeviceClient.create_from_symmetric_key(credential, server_verification_cert=ca, **options)
        else:
            certificate = X509(*credential.save(self.folder))
            client = IoTHubDeviceClient.create_from_x509_certificate(
                certificate, server_verification_cert=ca, **options
            )
        self.clients.append(client)
        await client.connect()
        return client


async def _end(client: Any) -> None:
    """The SDK leaves a client that was refused connected, with its threads."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    await asyncio.to_thread(client._pipeline.shutdown, lambda error=None: loop.call_soon_threadsafe(ended.set))
    await ended.wait()


@pytest.fixture
async def yard(hub: Any, rest: Any, tmp_path: Path) -> AsyncIterator[Yard]:
    made = Yard(hub, rest, tmp_path)
    yield made
    for client in made.clients:
        await client.shutdown()


def new_id(prefix: str = "sn") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def pem(certificate: TestCertificate) -> str:
    """As the SDKs write certificates into enrolments."""
    return base64.b64encode(certificate.pem).decode()


def x509_attestation(kind: str, certificate: TestCertificate) -> dict[str, Any]:
    return {"type": "x509", "x509": {kind: {"primary": {"certificate": pem(certificate)}}}}


async def test_an_individual_key_gets_its_device_with_twin_and_it_sends(yard: Yard, trace: Any) -> None:
    registration_id, device_id = new_id(), new_id("pump")
    twin = {"tags": {"site": "B1"}, "properties": {"desired": {"rate": 5}}}
    enrollment = await yard.enroll(
        f"/enrollments/{registration_id}",
        {"registrationId": registration_id, "deviceId": device_id, "initialTwin": twin}
        | {"attestation": {"type": "symmetricKey"}},
    )
    key = enrollment["attestation"]["symmetricKey"]["primaryKey"]
    result = await yard.register(registration_id, key, payload={"modelId": "dtmi:x;1"})
    state = result.registration_state
    assert (result.status, state.device_id, state.sub_status) == ("assigned", device_id, "initialAssignment")
    assert state.assigned_hub == yard.hub.host
    assert json.loads(state.response_payload) is None
    client = await yard.connect(state, key)
    async with trace(device_id) as events:
        await client.send_message("{}")
        await events.source("Telemetry")
    assert (await client.get_twin())["desired"]["rate"] == 5
    assert (await yard.rest.call("GET", f"/twins/{device_id}")).body["tags"] == {"site": "B1"}


async def test_a_group_lets_devices_in_by_their_derived_keys_again_and_again(yard: Yard) -> None:
    group, registration_id = new_id("group"), new_id()
    enrollment = await yard.enroll(
        f"/enrollmentGroups/{group}", {"enrollmentGroupId": group, "attestation": {"type": "symmetricKey"}}
    )
    keys = enrollment["attestation"]["symmetricKey"]
    key = derive_device_key(keys["primaryKey"], registration_id)
    first = await yard.register(registration_id, key)
    assert (first.registration_state.device_id, first.status) == (registration_id, "assigned")
    await yard.connect(first.registration_state, key)
    again = await yard.register(registration_id, key)
    assert again.registration_state.sub_status == "reprovisionedToInitialAssignment"
    assert again.registration_state.created_date_time == first.registration_state.created_date_time
    with pytest.raises(CredentialError):
        await yard.register(registration_id, keys["primaryKey"])


async def test_wrong_keys_and_unknown_devices_are_refused(yard: Yard) -> None:
    registration_id = new_id()
    body = {"registrationId": registration_id, "attestation": {"type": "symmetricKey"}}
    await yard.enroll(f"/enrollments/{registration_id}", body)
    for name in (registration_id, new_id()):
        with pytest.raises(CredentialError):
            await yard.register(name, base64.b64encode(bytes(32)).decode())


async def test_an_individual_certificate_gets_its_device(yard: Yard) -> None:
    registration_id = new_id()
    certificate = make_certificate(registration_id)
    await yard.enroll(
        f"/enrollments/{registration_id}",
        {"registrationId": registration_id, "attestation": x509_attestation("clientCertificates", certificate)},
    )
    result = await yard.register(registration_id, certificate)
    assert result.status == "assigned"
    client = await yard.connect(result.registration_state, certificate)
    await client.send_message("{}")
    assert "401" in await yard.refused(registration_id, make_certificate(registration_id))


async def test_a_group_of_an_authority_lets_in_what_it_signed(yard: Yard) -> None:
    authority = make_certificate("factory root", authority=True)
    line = make_certificate("factory line", authority, authority=True)
    group, registration_id = new_id("group"), new_id()
    body = {"enrollmentGroupId": group, "attestation": x509_attestation("signingCertificates", authority)}
    await yard.enroll(f"/enrollmentGroups/{group}", body)
    certificate = make_certificate(registration_id, line)
    result = await yard.register(registration_id, certificate)
    assert result.registration_state.device_id == registration_id
    client = await yard.connect(result.registration_state, certificate)
    await client.send_message("{}")
    assert "401" in await yard.refused("somebody-else", certificate)


async def test_a_disabled_enrollment_is_told_as_such(yard: Yard) -> None:
    registration_id = new_id()
    body = {"registrationId": registration_id, "attestation": {"type": "symmetricKey"}}
    enrollment = await yard.enroll(f"/enrollments/{registration_id}", {**body, "provisioningStatus": "disabled"})
    key = enrollment["attestation"]["symmetricKey"]["primaryKey"]
    assert "status disabled" in await yard.refused(registration_id, key)
    assert (await yard.rest.call("GET", f"/devices/{registration_id}")).status == 404
