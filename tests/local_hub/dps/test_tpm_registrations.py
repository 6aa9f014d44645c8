"""Devices with a TPM on a real store: their challenge, and the key that they get for the hub."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.dps import Kind, ProvisioningLogin, Status
from iot_core.errors import HubError
from local_hub.dps.attestation import Attempt
from local_hub.dps.challenges import TpmKeys
from local_hub.hub import Hub
from tests.software_tpm import SoftwareTpm


@pytest.fixture(scope="module")
def tpm() -> SoftwareTpm:
    return SoftwareTpm()


async def enroll(hub: Hub, tpm: SoftwareTpm, **more: str) -> Attempt:
    """An enrolment for the TPM, and a device that shows its keys."""
    attestation = {"type": "tpm", "tpm": {"endorsementKey": tpm.endorsement_key, **more}}
    await hub.provisioning.enrollments.put(Kind.INDIVIDUAL, "r", {"attestation": attestation}, None)
    login = ProvisioningLogin(id_scope=hub.provisioning.identity.id_scope, registration_id="r")
    return Attempt(login=login, tpm=TpmKeys.parse(tpm.endorsement_key, tpm.storage_root_key))


def proven(hub: Hub, tpm: SoftwareTpm, attempt: Attempt) -> Attempt:
    """With a token that is signed by the key of the challenge."""
    key = tpm.unwrap(base64.b64decode(hub.provisioning.registrations.challenge(attempt)))
    expiry = int(hub.token_clock.now()) + 60
    token = sas.sign(attempt.login.resource, base64.b64encode(key).decode(), expiry, "registration")
    return replace(attempt, token=token)


def hub_key(hub: Hub) -> bytes:
    return base64.b64decode(hub.registry.get_device("r")["authentication"]["symmetricKey"]["primaryKey"])


async def test_the_device_gets_the_key_that_it_has_on_the_hub(hub: Hub, tpm: SoftwareTpm) -> None:
    attempt = proven(hub, tpm, await enroll(hub, tpm))
    found = await hub.provisioning.registrations.register(attempt)
    assert (found.status, found.credential) == (Status.ASSIGNED, "tpm")
    assert tpm.unwrap(base64.b64decode(found.wrapped_key or "")) == hub_key(hub)
    assert hub.provisioning.registrations.operation(attempt, found.operation_id) == found


async def test_a_device_that_comes_again_keeps_its_key(hub: Hub, tpm: SoftwareTpm) -> None:
    attempt = proven(hub, tpm, await enroll(hub, tpm))
    await hub.provisioning.registrations.register(attempt)
    before = hub_key(hub)
    again = await hub.provisioning.registrations.register(proven(hub, tpm, attempt))
    assert tpm.unwrap(base64.b64decode(again.wrapped_key or "")) == hub_key(hub) == before


async def test_a_challenge_counts_for_an_hour_or_two(hub: Hub, tpm: SoftwareTpm, clock: ManualClock) -> None:
    attempt = await enroll(hub, tpm)
    key = tpm.unwrap(base64.b64decode(hub.provisioning.registrations.challenge(attempt)))
    signed = base64.b64encode(key).decode()
    clock.advance(3600)
    late = sas.sign(attempt.login.resource, signed, int(clock.now()) + 60, "registration")
    hub.provisioning.registrations.check(replace(attempt, token=late))
    clock.advance(3600)
    later = sas.sign(attempt.login.resource, signed, int(clock.now()) + 60, "registration")
    with pytest.raises(HubError, match="Unauthorized"):
        hub.provisioning.registrations.check(replace(attempt, token=later))


async def test_no_other_keys_are_challenged(hub: Hub, tpm: SoftwareTpm) -> None:
    attempt, other = await enroll(hub, tpm, storageRootKey=tpm.storage_root_key), SoftwareTpm()
    keys = TpmKeys.parse(tpm.endorsement_key, other.storage_root_key)
    strangers = (None, TpmKeys.parse(other.endorsement_key, tpm.storage_root_key), keys)
    elsewhere = replace(attempt, login=replace(attempt.login, id_scope="0neFFFFFFFF"))
    for wrong in (*(replace(attempt, tpm=each) for each in strangers), elsewhere):
        with pytest.raises(HubError, match="Unauthorized"):
            hub.provisioning.registrations.challenge(wrong)


async def test_a_token_of_another_key_is_refused(hub: Hub, tpm: SoftwareTpm) -> None:
    attempt = await enroll(hub, tpm)
    token = sas.sign(attempt.login.resource, base64.b64encode(bytes(32)).decode(), int(hub.clock.now()) + 60)
    for wrong in ("", token):
        with pytest.raises(HubError, match="Unauthorized"):
            await hub.provisioning.registrations.register(replace(attempt, token=wrong))


async def test_a_registration_needs_the_keys_to_wrap_for(hub: Hub, tpm: SoftwareTpm) -> None:
    attempt = proven(hub, tpm, await enroll(hub, tpm))
    found = await hub.provisioning.registrations.register(replace(attempt, tpm=None))
    assert (found.status, found.error_code) == (Status.FAILED, 400000)
    with pytest.raises(HubError, match="DeviceNotFound"):
        hub.registry.get_device("r")


@pytest.mark.parametrize("wrong", [None, 7, "", "not base64"])
def test_keys_that_are_none_are_bad_requests(wrong: object) -> None:
    with pytest.raises(HubError) as refused:
        TpmKeys.parse(wrong, "AAAA")
    assert refused.value.status == 400
