"""Enrolments whose webhook allocates, on a real store and a real HTTP server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from iot_core import sas
from iot_core.dps import CustomAllocation, Kind, ProvisioningLogin, Registration, Status, operation_body
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.dps.attestation import Attempt
from local_hub.dps.webhook import MAX_ANSWER_BYTES, allocate
from local_hub.hub import Hub
from transport.loopback import free_loopback_address


class Webhook:
    """A function that answers what it was set to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.body: bytes = b""
        self.url = ""

    def answers(self, **body: Any) -> None:
        self.body = json.dumps(body).encode()

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.Response(status=self.status, body=self.body, content_type="application/json")


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    made, application = Webhook(), web.Application()
    application.router.add_post("/pick", made.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, free_loopback_address((0,)), 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/pick?code=secret"
    yield made
    await runner.cleanup()


class Device:
    """An enrolled device."""

    def __init__(self, hub: Hub, key: str) -> None:
        self._hub, self._key = hub, key

    async def register(self, payload: Any = None) -> Registration:
        login = ProvisioningLogin(id_scope=self._hub.provisioning.identity.id_scope, registration_id="r")
        token = sas.sign(login.resource, self._key, int(self._hub.clock.now()) + 60, "registration")
        return await self._hub.provisioning.registrations.register(Attempt(login=login, token=token, payload=payload))


async def enrolled(hub: Hub, webhook: Webhook, **more: Any) -> Device:
    body = {
        "attestation": {"type": "symmetricKey"},
        "allocationPolicy": "custom",
        "customAllocationDefinition": {"webhookUrl": webhook.url, "apiVersion": "2021-10-01"},
    }
    stored = await hub.provisioning.enrollments.put(Kind.INDIVIDUAL, "r", {**body, **more}, None)
    return Device(hub, stored["attestation"]["symmetricKey"]["primaryKey"])


async def test_the_answer_gives_the_hub_the_twin_and_something_for_the_device(hub: Hub, webhook: Webhook) -> None:
    device = await enrolled(hub, webhook, initialTwin={"tags": {"site": "B1"}})
    twin = {"tags": {"site": "B2"}, "properties": {"desired": {"rate": 5}}}
    webhook.answers(iotHubHostName="localhost", initialTwin=twin, payload={"welcome": True})
    found = await device.register({"model": "x"})
    assert (found.status, found.device_id) == (Status.ASSIGNED, "r")
    assert operation_body(found)["registrationState"]["payload"] == {"welcome": True}
    document = hub.twins.get(Identity("r"))
    assert (document["tags"], document["properties"]["desired"]["rate"]) == ({"site": "B2"}, 5)


async def test_the_webhook_is_told_of_the_enrollment_without_its_keys(hub: Hub, webhook: Webhook) -> None:
    device = await enrolled(hub, webhook, iotHubs=["localhost", "elsewhere.azure-devices.net"])
    webhook.answers(iotHubHostName="localhost")
    await device.register({"model": "x"})
    await device.register()
    first, second = webhook.asked
    enrollment = first["individualEnrollment"]
    assert (enrollment["attestation"], enrollment["etag"] != "") == ({"type": "symmetricKey"}, True)
    assert enrollment["customAllocationDefinition"]["webhookUrl"].endswith("/pick?****")
    runtime = {"registrationId": "r", "symmetricKey": {}, "payload": {"model": "x"}}
    assert (first["deviceRuntimeContext"], first["linkedHubs"]) == (runtime, ["localhost"])
    assert second["deviceRuntimeContext"]["currentDeviceId"] == "r"


async def test_a_twin_in_the_answer_replaces_what_the_device_has(hub: Hub, webhook: Webhook) -> None:
    device = await enrolled(hub, webhook)
    webhook.answers(iotHubHostName="localhost")
    await device.register()
    await hub.twins.patch(Identity("r"), {"tags": {"old": True}}, None)
    webhook.answers(iotHubHostName="localhost", initialTwin={"tags": {"new": True}})
    await device.register()
    assert hub.twins.get(Identity("r"))["tags"] == {"new": True}


async def test_a_hub_that_is_not_linked_fails(hub: Hub, webhook: Webhook) -> None:
    device = await enrolled(hub, webhook)
    webhook.answers(iotHubHostName="another.azure-devices.net")
    found = await device.register()
    assert (found.status, found.error_code) == (Status.FAILED, 401001)


async def test_a_webhook_that_refuses_fails_the_registration(hub: Hub, webhook: Webhook) -> None:
    device = await enrolled(hub, webhook)
    webhook.status = 400
    found = await device.register()
    assert (found.status, found.error_code) == (Status.FAILED, 400207)
    assert found.error_message == "Custom allocation failed with status code: 400"


@pytest.mark.parametrize(
    "more", [{"provisioningStatus": "disabled"}, {"reprovisionPolicy": {"updateHubAssignment": False}}]
)
async def test_nobody_is_asked_when_the_answer_could_not_count(
    hub: Hub, webhook: Webhook, more: dict[str, Any]
) -> None:
    device = await enrolled(hub, webhook, **more)
    webhook.answers(iotHubHostName="localhost")
    await device.register()
    before = len(webhook.asked)
    await device.register()
    assert len(webhook.asked) == before


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "not JSON"), (b"[]", "not a JSON object"), (b" " * (MAX_ANSWER_BYTES + 1), "longer"), (b"{}", "missing")],
)
async def test_an_answer_that_is_none_is_told(webhook: Webhook, body: bytes, said: str) -> None:
    webhook.body = body
    with pytest.raises(HubError, match=said) as refused:
        await allocate(CustomAllocation(webhook_url=webhook.url, api_version="2021-10-01"), {})
    assert refused.value.code == 400207


async def test_a_webhook_that_is_not_there_is_told(webhook: Webhook) -> None:
    nowhere = f"http://{free_loopback_address((9,))}:9/"
    with pytest.raises(HubError, match="does not answer"):
        await allocate(CustomAllocation(webhook_url=nowhere, api_version="2021-10-01"), {})
