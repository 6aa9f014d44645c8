"""azure-iot-provisioning-device on every transport, with every attestation, and azure-iot-provisioning-service."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iot_core.identity import derive_device_key
from tests.acceptance.support import RunningHub, eventually
from tests.local_hub.device_certificates import TestCertificate, make_certificate
from tests.node.support import Peer, SdkError

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("on_443")]

TRANSPORTS = ("Amqp", "AmqpWs", "Http", "Mqtt", "MqttWs")


@pytest.fixture
def owner(hub: RunningHub, peer: Peer) -> Peer:
    """The peer, as an operator of the provisioning service."""
    peer.call("dps", hub.variables["DPS_CONNECTION_STRING"])
    return peer


@pytest.fixture
def service_at(hub: RunningHub) -> dict[str, str]:
    return {"host": hub.variables["PROVISIONING_HOST"], "scope": hub.variables["PROVISIONING_IDSCOPE"]}


@pytest.fixture
def registration_id() -> str:
    return f"sn-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[str]:
    """The path of the socket that a TPM takes its commands on."""
    commands, control = tmp_path / "commands", tmp_path / "control"
    sockets = ["--server", f"type=unixio,path={commands}", "--ctrl", f"type=unixio,path={control}"]
    state = ["--tpmstate", f"dir={tmp_path}", "--flags", "not-need-init,startup-clear"]
    process = subprocess.Popen(["swtpm", "socket", "--tpm2", *state, *sockets])
    eventually(lambda: commands.exists())
    yield str(commands)
    process.terminate()
    process.wait(timeout=10)


def enroll(owner: Peer, registration_id: str, attestation: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"registrationId": registration_id, "attestation": attestation, **more}
    enrollment: dict[str, Any] = owner.call("dpsCall", "createOrUpdateIndividualEnrollment", body)
    return enrollment


def by_certificate(certificate: TestCertificate) -> dict[str, Any]:
    return {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": certificate.pem.decode()}}}}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_symmetric_key_gets_its_device(
    owner: Peer, service_at: dict[str, str], registration_id: str, transport: str
) -> None:
    keys = enroll(owner, registration_id, {"type": "symmetricKey"}, deviceId=f"{registration_id}-device")
    key = keys["attestation"]["symmetricKey"]["primaryKey"]
    state = owner.call("provision", registration_id, transport, service_at, {"key": key}, {"model": "x"})
    assert (state["status"], state["deviceId"]) == ("assigned", f"{registration_id}-device")
    assert (state["assignedHub"], state["substatus"]) == (service_at["host"], "initialAssignment")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_certificate_gets_its_device(
    owner: Peer, service_at: dict[str, str], registration_id: str, tmp_path: Path, transport: str
) -> None:
    certificate = make_certificate(registration_id)
    enroll(owner, registration_id, by_certificate(certificate))
    shown = dict(zip(("cert", "key"), (Path(file).read_text() for file in certificate.save(tmp_path)), strict=True))
    state = owner.call("provision", registration_id, transport, service_at, {"certificate": shown})
    assert (state["status"], state["deviceId"]) == ("assigned", registration_id)


@pytest.mark.parametrize("transport", ["Amqp", "AmqpWs", "Http"])
def test_a_tpm_gets_its_device_and_a_key_for_the_hub(
    owner: Peer, service_at: dict[str, str], registration_id: str, tpm: str, telemetry_of: Any, transport: str
) -> None:
    keys = owner.call("tpmKeys", registration_id, tpm)
    enroll(owner, registration_id, {"type": "tpm", "tpm": {"endorsementKey": keys["endorsementKey"]}})
    state = owner.call("provision", registration_id, transport, service_at, {})
    assert (state["status"], state["deviceId"]) == ("assigned", registration_id)
    owner.call("sendByTpm", registration_id, state["assignedHub"], state["deviceId"], "1")
    assert len(telemetry_of(registration_id)) == 1


def test_another_tpm_is_refused(owner: Peer, service_at: dict[str, str], registration_id: str, tpm: str) -> None:
    # Over HTTPS alone: over AMQP the SDK never says that it was refused.
    another = owner.call("tpmKeys", registration_id, tpm)["storageRootKey"]
    enroll(owner, registration_id, {"type": "tpm", "tpm": {"endorsementKey": another}})
    with pytest.raises(SdkError):
        owner.call("provision", registration_id, "Http", service_at, {})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_key_is_refused(owner: Peer, service_at: dict[str, str], registration_id: str, transport: str) -> None:
    keys = enroll(owner, registration_id, {"type": "symmetricKey"})
    wrong = derive_device_key(keys["attestation"]["symmetricKey"]["primaryKey"], "another")
    with pytest.raises(SdkError, match=r"Unauthorized|Not authorized|NotConnected"):
        owner.call("provision", registration_id, transport, service_at, {"key": wrong})


def test_an_enrollment_is_read_changed_queried_and_deleted(owner: Peer, registration_id: str) -> None:
    made = enroll(owner, registration_id, {"type": "symmetricKey"}, tags={"ignored": True})
    read = owner.call("dpsCall", "getIndividualEnrollment", registration_id)
    assert (read["etag"], "symmetricKey" in read["attestation"]) == (made["etag"], False)
    keys = owner.call("dpsCall", "getIndividualEnrollmentAttestationMechanism", registration_id)
    assert keys["symmetricKey"] == made["attestation"]["symmetricKey"]
    owner.call("dpsCall", "createOrUpdateIndividualEnrollment", {**read, "provisioningStatus": "disabled"})
    with pytest.raises(SdkError):
        owner.call("dpsCall", "createOrUpdateIndividualEnrollment", {**read, "provisioningStatus": "enabled"})
    text = f"SELECT * FROM enrollments WHERE registrationId = '{registration_id}'"
    ((found,),) = owner.call("dpsQuery", "IndividualEnrollment", text, 10)
    assert found["provisioningStatus"] == "disabled"
    owner.call("dpsCall", "deleteIndividualEnrollment", registration_id)
    with pytest.raises(SdkError):
        owner.call("dpsCall", "getIndividualEnrollment", registration_id)


def test_a_group_and_the_registrations_made_through_it(
    owner: Peer, service_at: dict[str, str], registration_id: str
) -> None:
    group = f"g-{registration_id}"
    body = {"enrollmentGroupId": group, "attestation": {"type": "symmetricKey"}}
    made = owner.call("dpsCall", "createOrUpdateEnrollmentGroup", body)
    keys = owner.call("dpsCall", "getEnrollmentGroupAttestationMechanism", group)
    assert keys["symmetricKey"] == made["attestation"]["symmetricKey"]
    names = [f"{registration_id}-{number}" for number in range(2)]
    for name in names:
        key = derive_device_key(keys["symmetricKey"]["primaryKey"], name)
        owner.call("provision", name, "Mqtt", service_at, {"key": key})
    pages = owner.call("dpsQuery", "EnrollmentGroupDeviceRegistrationState", "SELECT *", 1, group)
    assert [[row["registrationId"] for row in page] for page in pages] == [[name] for name in names]
    assert owner.call("dpsCall", "getDeviceRegistrationState", names[0])["status"] == "assigned"
    owner.call("dpsCall", "deleteDeviceRegistrationState", names[0])
    with pytest.raises(SdkError):
        owner.call("dpsCall", "getDeviceRegistrationState", names[0])
    owner.call("dpsCall", "deleteEnrollmentGroup", group)


def test_enrollments_are_made_and_deleted_in_bulk(owner: Peer, registration_id: str) -> None:
    attestation = {"type": "symmetricKey"}
    items = [{"registrationId": f"{registration_id}-{n}", "attestation": attestation} for n in range(3)]
    for mode in ("create", "delete"):
        answer = owner.call("dpsBulk", {"mode": mode, "enrollments": items})
        assert answer == {"isSuccessful": True, "errors": []}
    answer = owner.call("dpsBulk", {"mode": "delete", "enrollments": items[:1]})
    assert (answer["isSuccessful"], answer["errors"][0]["registrationId"]) == (False, f"{registration_id}-0")
