from __future__ import annotations

import base64
from typing import Any

import pytest

from iot_core.dps import Enrollment, Kind, SymmetricKeys, attestation_body, parse_enrollment
from iot_core.errors import HubError
from tests.iot_core.dps.test_tpm import STORAGE_ROOT_KEY

KEYS = {"primaryKey": base64.b64encode(bytes(32)).decode(), "secondaryKey": base64.b64encode(bytes(16)).decode()}
BY_KEY = {"type": "symmetricKey", "symmetricKey": KEYS}


def parsed(kind: Kind = Kind.INDIVIDUAL, previous: Enrollment | None = None, **body: Any) -> Enrollment:
    return parse_enrollment(kind, "r", {"attestation": BY_KEY, **body}, previous)


def test_what_a_body_leaves_out_gets_the_service_s_defaults() -> None:
    assert parsed().document == {
        "registrationId": "r",
        "attestation": BY_KEY,
        "capabilities": {"iotEdge": False},
        "provisioningStatus": "enabled",
        "reprovisionPolicy": {"updateHubAssignment": True, "migrateDeviceData": True},
        "allocationPolicy": "hashed",
    }


def test_a_stored_enrollment_reads_back_as_it_was() -> None:
    twin = {"tags": {"a": 1, "$version": 3}, "properties": {"desired": {"b": {"c": 2}, "$metadata": {}}}}
    enrollment = parsed(deviceId="d", initialTwin=twin, iotHubs=["h"], optionalDeviceInformation={"x": 1})
    assert enrollment.initial_twin == {"tags": {"a": 1}, "properties": {"desired": {"b": {"c": 2}}}}
    assert parse_enrollment(Kind.INDIVIDUAL, "r", enrollment.document, None) == enrollment


def test_keys_are_generated_with_64_bytes_and_kept_by_an_update_that_has_none() -> None:
    made = parsed(attestation={"type": "symmetricKey"})
    assert isinstance(made.attestation, SymmetricKeys)
    assert len(base64.b64decode(made.attestation.primary)) == 64
    assert parsed(previous=made, attestation={"type": "symmetricKey"}).attestation == made.attestation


def test_keys_are_printed_only_where_asked_for() -> None:
    assert attestation_body(parsed(), secret=False) == {"type": "symmetricKey"}
    assert KEYS["primaryKey"] not in repr(parsed())


def test_a_device_id_is_for_individual_enrollments_alone() -> None:
    assert parsed(deviceId="d").device_id == "d"
    assert parsed(Kind.GROUP, deviceId="d").device_id is None


@pytest.mark.parametrize(
    "body",
    [
        {"registrationId": "another"},
        {"deviceId": "a/b"},
        {"provisioningStatus": "off"},
        {"allocationPolicy": "random"},
        {"capabilities": {"iotEdge": "yes"}},
        {"reprovisionPolicy": []},
        {"iotHubs": "h"},
        {"initialTwin": {"tags": {"a.b": 1}}},
        {"initialTwin": {"properties": {"desired": {"x": "y" * 40_000}}}},
        {"attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": "short"}}},
        {"attestation": {"type": "none"}},
        {"attestation": {"type": "tpm"}},
        {"attestation": {"type": "tpm", "tpm": {"endorsementKey": "AAAA"}}},
        {"allocationPolicy": "custom"},
        {"attestation": {"type": "x509", "x509": {}}},
        {"attestation": {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": "AAAA"}}}}},
    ],
)
def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(HubError) as refused:
        parsed(**body)
    assert refused.value.status == 400


def test_what_is_not_built_is_refused_by_name() -> None:
    with pytest.raises(HubError, match="caReferences") as refused:
        parsed(attestation={"type": "x509", "x509": {"caReferences": {"primary": "c"}}})
    assert refused.value.status == 501


def test_a_tpm_is_kept_by_its_public_keys_and_printed() -> None:
    attestation = {"type": "tpm", "tpm": {"endorsementKey": STORAGE_ROOT_KEY}}
    made = parsed(attestation=attestation)
    assert attestation_body(made, secret=False) == attestation
    assert parsed(previous=made, attestation={"type": "tpm"}).attestation == made.attestation


def test_a_tpm_is_of_one_device() -> None:
    with pytest.raises(HubError, match="individual"):
        parsed(Kind.GROUP, attestation={"type": "tpm", "tpm": {"endorsementKey": STORAGE_ROOT_KEY}})


def test_a_webhook_that_allocates_is_kept() -> None:
    definition = {"webhookUrl": "https://functions.test/pick", "apiVersion": "2021-10-01"}
    enrollment = parsed(allocationPolicy="custom", customAllocationDefinition=definition)
    assert enrollment.document["customAllocationDefinition"] == definition
    assert parse_enrollment(Kind.INDIVIDUAL, "r", enrollment.document, None) == enrollment
