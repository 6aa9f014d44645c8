"""The provisioning core on a real store: who is let in, what becomes of the device, what outlives a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.dps import Kind, ProvisioningLogin, Status
from iot_core.errors import HubError
from iot_core.identity import Identity, derive_device_key
from local_hub.dps.attestation import Attempt
from local_hub.hub import Hub
from tests.local_hub.device_certificates import make_certificate

BY_KEY = {"attestation": {"type": "symmetricKey"}}
Enroll = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
def enroll(hub: Hub) -> Enroll:
    """Writes an enrolment by symmetric key and gives its keys by slot."""

    async def write(kind: Kind, enrollment_id: str, if_match: str | None = None, **body: Any) -> dict[str, str]:
        stored = await hub.provisioning.enrollments.put(kind, enrollment_id, {**BY_KEY, **body}, if_match)
        keys = stored["attestation"]["symmetricKey"]
        return {"primary": keys["primaryKey"], "secondary": keys["secondaryKey"]}

    return write


def attempt(hub: Hub, registration_id: str, key: str, **changes: Any) -> Attempt:
    login = ProvisioningLogin(id_scope=hub.provisioning.identity.id_scope, registration_id=registration_id)
    token = sas.sign(login.resource, key, int(hub.clock.now()) + 60, "registration")
    return replace(Attempt(login=login, token=token), **changes)


async def test_a_first_registration_makes_the_device_with_the_enrollment_s_keys_and_twin(
    hub: Hub, enroll: Enroll
) -> None:
    twin = {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}
    keys = await enroll(Kind.INDIVIDUAL, "r", deviceId="d", initialTwin=twin, capabilities={"iotEdge": True})
    found = await hub.provisioning.registrations.register(attempt(hub, "r", keys["primary"]))
    assert (found.status, found.device_id, found.substatus) == (Status.ASSIGNED, "d", "initialAssignment")
    device = hub.registry.get_device("d")
    assert device["authentication"]["symmetricKey"]["primaryKey"] == keys["primary"]
    assert device["capabilities"]["iotEdge"]
    document = hub.twins.get(Identity("d"))
    assert (document["tags"], document["properties"]["desired"]["b"]) == ({"a": 1}, 2)


async def test_ids_count_in_any_case(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "Pump")
    found = await hub.provisioning.registrations.register(attempt(hub, "PUMP", keys["primary"]))
    assert (found.registration_id, found.device_id) == ("Pump", "Pump")


async def test_an_operation_is_found_by_its_id_alone(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "r")
    asked, registrations = attempt(hub, "r", keys["primary"]), hub.provisioning.registrations
    found = await registrations.register(asked)
    assert registrations.operation(asked, found.operation_id) == found == registrations.lookup(asked)
    for wrong in ("", "4.x"):
        with pytest.raises(HubError, match="OperationNotFound"):
            registrations.operation(asked, wrong)


@pytest.mark.parametrize("wrong", ["key", "scope", "resource", "expired", "nothing", "garbage"])
async def test_wrong_credentials_are_refused(hub: Hub, enroll: Enroll, clock: ManualClock, wrong: str) -> None:
    key = (await enroll(Kind.INDIVIDUAL, "r"))["primary"]
    right = attempt(hub, "r", key)
    other_scope = replace(right.login, id_scope="0neFFFFFFFF")
    attempts = {
        "key": attempt(hub, "r", hub.provisioning.identity.keys[0]),
        "scope": replace(right, login=other_scope, token=sas.sign(other_scope.resource, key, 2_000_000_000)),
        "resource": replace(right, token=attempt(hub, "another", key).token),
        "expired": right,
        "nothing": replace(right, token=""),
        "garbage": replace(right, token="SharedAccessSignature x"),
    }
    if wrong == "expired":
        clock.advance(3600)
    with pytest.raises(HubError) as refused:
        await hub.provisioning.registrations.register(attempts[wrong])
    assert refused.value.code == 401002


async def test_a_group_derives_a_key_for_each_device_and_lists_them(hub: Hub, enroll: Enroll) -> None:
    keys, registrations = await enroll(Kind.GROUP, "g"), hub.provisioning.registrations
    for name in ("a", "b"):
        found = await registrations.register(attempt(hub, name, derive_device_key(keys["primary"], name)))
        assert (found.group_id, found.device_id) == ("g", name)
    device = hub.registry.get_device("a")["authentication"]["symmetricKey"]
    assert device["secondaryKey"] == derive_device_key(keys["secondary"], "a")
    assert [found.registration_id for found in registrations.of_group("G")] == ["a", "b"]


async def test_an_individual_enrollment_goes_before_the_group(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.GROUP, "g")
    await enroll(Kind.INDIVIDUAL, "a", provisioningStatus="disabled")
    with pytest.raises(HubError, match="Unauthorized"):
        await hub.provisioning.registrations.register(attempt(hub, "a", derive_device_key(keys["primary"], "a")))


async def test_a_registration_keeps_to_the_key_it_was_made_with(hub: Hub, enroll: Enroll) -> None:
    keys, registrations = await enroll(Kind.INDIVIDUAL, "r"), hub.provisioning.registrations
    await registrations.register(attempt(hub, "r", keys["secondary"]))
    with pytest.raises(HubError, match="Unauthorized"):
        registrations.lookup(attempt(hub, "r", keys["primary"]))
    await registrations.delete("r", None)
    assert (await registrations.register(attempt(hub, "r", keys["primary"]))).substatus == "initialAssignment"


async def test_a_disabled_enrollment_assigns_nothing(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "r", provisioningStatus="disabled")
    found = await hub.provisioning.registrations.register(attempt(hub, "r", keys["primary"]))
    assert (found.status, found.operation_id, found.device_id) == (Status.DISABLED, "", None)
    with pytest.raises(HubError, match="DeviceNotFound"):
        hub.registry.get_device("r")


async def test_an_enrollment_for_another_hub_fails(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "r", iotHubs=["another.azure-devices.net"])
    found = await hub.provisioning.registrations.register(attempt(hub, "r", keys["primary"]))
    assert (found.status, found.error_code) == (Status.FAILED, 401001)
    await enroll(Kind.INDIVIDUAL, "r", "*", iotHubs=["another.azure-devices.net", "LOCALHOST:8443"])
    assert (await hub.provisioning.registrations.register(attempt(hub, "r", keys["primary"]))).assigned_hub


@pytest.mark.parametrize(
    ("policy", "tags"),
    [
        ({"updateHubAssignment": True, "migrateDeviceData": True}, {"site": "moved"}),
        ({"updateHubAssignment": True, "migrateDeviceData": False}, {"site": "B1"}),
        ({"updateHubAssignment": False, "migrateDeviceData": False}, {"site": "moved"}),
    ],
)
async def test_the_policy_says_what_becomes_of_the_twin_when_a_device_comes_again(
    hub: Hub, enroll: Enroll, policy: dict[str, bool], tags: dict[str, str]
) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "r", initialTwin={"tags": {"site": "B1"}}, reprovisionPolicy=policy)
    asked = attempt(hub, "r", keys["primary"])
    await hub.provisioning.registrations.register(asked)
    await hub.twins.patch(Identity("r"), {"tags": {"site": "moved"}}, None)
    found = await hub.provisioning.registrations.register(asked)
    assert found.substatus == "reprovisionedToInitialAssignment"
    assert hub.twins.get(Identity("r"))["tags"] == tags


async def test_a_device_that_comes_again_gets_the_new_key_and_keeps_its_id(hub: Hub, enroll: Enroll) -> None:
    keys, registrations = await enroll(Kind.INDIVIDUAL, "r", deviceId="d"), hub.provisioning.registrations
    await registrations.register(attempt(hub, "r", keys["primary"]))
    fresh = {"primaryKey": keys["secondary"], "secondaryKey": keys["primary"]}
    attestation = {"type": "symmetricKey", "symmetricKey": fresh}
    await enroll(Kind.INDIVIDUAL, "r", "*", deviceId="another", attestation=attestation)
    found = await registrations.register(attempt(hub, "r", keys["secondary"]))
    assert found.device_id == "d"
    assert hub.registry.get_device("d")["authentication"]["symmetricKey"] == fresh


async def test_a_deleted_device_is_made_again_unless_the_policy_says_never(hub: Hub, enroll: Enroll) -> None:
    keys = await enroll(Kind.INDIVIDUAL, "r")
    asked = attempt(hub, "r", keys["primary"])
    await hub.provisioning.registrations.register(asked)
    await hub.registry.delete_device("r", "*")
    await hub.provisioning.registrations.register(asked)
    assert hub.registry.get_device("r")["status"] == "enabled"


async def test_a_device_that_the_hub_knew_before_gets_the_credentials_and_keeps_its_generation(
    hub: Hub, enroll: Enroll
) -> None:
    before = await hub.registry.put_device("r", {}, None)
    keys = await enroll(Kind.INDIVIDUAL, "r")
    await hub.provisioning.registrations.register(attempt(hub, "r", keys["primary"]))
    after = hub.registry.get_device("r")
    assert after["generationId"] == before["generationId"]
    assert after["authentication"]["symmetricKey"]["primaryKey"] == keys["primary"]


async def test_a_group_of_an_authority_lets_in_what_it_signed_under_its_name(hub: Hub) -> None:
    start = datetime.fromtimestamp(hub.clock.now(), UTC)
    root = make_certificate("root", authority=True, start=start)
    signing = {"signingCertificates": {"primary": {"certificate": root.pem.decode()}}}
    await hub.provisioning.enrollments.put(Kind.GROUP, "g", {"attestation": {"type": "x509", "x509": signing}}, None)
    signed, stranger = make_certificate("r", root, start=start), make_certificate("r", start=start)
    login = ProvisioningLogin(id_scope=hub.provisioning.identity.id_scope, registration_id="r")
    registrations = hub.provisioning.registrations
    for chain, name in ((stranger.chain, "r"), (signed.chain, "s"), ((), "r")):
        with pytest.raises(HubError, match="Unauthorized"):
            registrations.check(Attempt(login=replace(login, registration_id=name), chain=chain))
    await registrations.register(Attempt(login=login, chain=signed.chain))
    authentication = hub.registry.get_device("r")["authentication"]
    assert authentication["x509Thumbprint"]["primaryThumbprint"] == signed.sha256


async def test_enrollments_and_registrations_outlive_a_restart(open_hub: Callable[[], Awaitable[Hub]]) -> None:
    first = await open_hub()
    stored = await first.provisioning.enrollments.put(Kind.INDIVIDUAL, "r", BY_KEY, None)
    key = stored["attestation"]["symmetricKey"]["primaryKey"]
    found = await first.provisioning.registrations.register(attempt(first, "r", key))
    await first.stop()
    await first.store.close()
    second = await open_hub()
    try:
        assert second.provisioning.identity == first.provisioning.identity
        asked = attempt(second, "r", key)
        assert second.provisioning.registrations.operation(asked, found.operation_id) == found
        again = await second.provisioning.registrations.register(asked)
        assert again.substatus == "reprovisionedToInitialAssignment"
    finally:
        await second.stop()
        await second.store.close()
