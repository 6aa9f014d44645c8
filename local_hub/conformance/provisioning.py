"""The Device Provisioning Service."""

from __future__ import annotations

from local_hub.conformance.entries import Entry, State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_SDK = "tests/local_hub/fronts/test_provisioning_sdk.py"
_HTTP = "tests/local_hub/fronts/test_provisioning_http.py"
_CORE = "tests/local_hub/dps/test_registrations.py"
_KERNEL = "tests/iot_core/dps"
_NODE = "tests/node/test_node_provisioning.py"
_DEVICE = f"{_HTTP}::test_a_device_registers_asks_and_looks_itself_up"
_LISTED = f"{_HTTP}::test_registrations_of_a_group_are_listed_and_forgotten"


def _enrollments(path: str) -> tuple[Entry, ...]:
    """The operations on one of the two collections of enrolments."""
    guarded = f"{_HTTP}::test_etags_guard_enrollments"
    return (
        row(f"PUT {path}/{{id}}", _DOCUMENTED, guarded, "409 without If-Match when it exists; answers with the keys."),
        row(f"GET {path}/{{id}}", _DOCUMENTED, guarded, "Without keys and certificates."),
        row(f"DELETE {path}/{{id}}", _DOCUMENTED, guarded, "Its registrations go too."),
        row(
            f"POST {path}/{{id}}/attestationmechanism",
            _DOCUMENTED,
            f"{_KERNEL}/test_enrollment.py::test_keys_are_printed_only_where_asked_for",
        ),
        row(
            f"POST {path}/query",
            _APPROXIMATE,
            f"{_HTTP}::test_queries_come_in_pages",
            "The grammar of twin queries, over enrolments.",
        ),
        row(
            f"POST {path}",
            _APPROXIMATE,
            f"{_HTTP}::test_a_bulk_call_tells_what_failed",
            "10 enrolments a call; the codes of errors are ours.",
        ),
    )


ROWS = area(
    "Device Provisioning Service",
    row(
        "MQTT register and status",
        _EXACT,
        f"{_SDK}::test_an_individual_key_gets_its_device_with_twin_and_it_sends",
        "On 8883 and over WebSocket; the unmodified SDK registers and connects.",
        "local_hub/fronts/mqtt_provisioning.py",
    ),
    row(
        "PUT /{scope}/registrations/{registration}/register",
        _DOCUMENTED,
        _DEVICE,
        "Answers assigning, though the device is assigned by then; a payload goes to the webhook, if there is one.",
    ),
    row(
        "GET /{scope}/registrations/{registration}/operations/{operation}",
        _APPROXIMATE,
        _DEVICE,
        "Only the last operation.",
    ),
    row("POST /{scope}/registrations/{registration}", _DOCUMENTED, _DEVICE),
    row(
        "Symmetric keys",
        _EXACT,
        f"{_SDK}::test_a_group_lets_devices_in_by_their_derived_keys_again_and_again",
        "Individual, or derived from a group's; a registration keeps to the key that made it.",
        "iot_core/identity.py::derive_device_key",
    ),
    row(
        "X.509 attestation",
        _APPROXIMATE,
        f"{_SDK}::test_a_group_of_an_authority_lets_in_what_it_signed",
        "Individual by thumbprint, groups by signingCertificates; the hub's device gets the SHA-256 thumbprint.",
        "local_hub/dps/attestation.py",
    ),
    row(
        "TPM attestation",
        _EXACT,
        f"{_NODE}::test_a_tpm_gets_its_device_and_a_key_for_the_hub",
        "HTTPS and AMQP: the unmodified SDK with swtpm registers and sends; RSA 2048 keys. A restart ends challenges.",
        "iot_core/dps/tpm.py::wrap_key",
        "local_hub/dps/challenges.py::Challenges",
    ),
    row(
        "Provisioning over AMQP",
        _EXACT,
        f"{_NODE}::test_a_symmetric_key_gets_its_device",
        "On 5671 and over WebSocket: SASL PLAIN, EXTERNAL and TPM; refusals are the outcome of the request.",
        "iot_core/amqp_addresses.py::ProvisioningDevice",
        "local_hub/fronts/amqp/provisioning_links.py::ProvisioningRequests",
    ),
    row(
        "Allocation policies hashed, geoLatency and static",
        _APPROXIMATE,
        f"{_CORE}::test_an_enrollment_for_another_hub_fails",
        "One hub is linked, so they come to the same.",
        "local_hub/dps/allocation.py::Allocator",
    ),
    row(
        "Custom allocation",
        _DOCUMENTED,
        "tests/local_hub/dps/test_custom_allocation.py::test_the_answer_gives_the_hub_the_twin_and_something_for_the_device",
        "The webhook is asked while the device registers, for 5 s; 400207 when it fails.",
        "local_hub/dps/webhook.py::allocate",
    ),
    row(
        "Certificates uploaded to the service (caReferences)",
        _REFUSED,
        f"{_HTTP}::test_what_is_not_built_is_refused_by_name",
        "501 when an enrolment asks for them.",
        "iot_core/dps/attestations.py",
    ),
    row(
        "Reprovisioning",
        _APPROXIMATE,
        f"{_CORE}::test_the_policy_says_what_becomes_of_the_twin_when_a_device_comes_again",
        "One hub, so nothing migrates: reset writes the initial twin and leaves reported properties.",
        "local_hub/dps/assignment.py",
    ),
    row(
        "Disabled enrolments and other hubs",
        _DOCUMENTED,
        f"{_SDK}::test_a_disabled_enrollment_is_told_as_such",
        "Status disabled with an empty operation id; status failed with 401001.",
        "local_hub/dps/registrations.py",
    ),
    row(
        "Refusals",
        _APPROXIMATE,
        f"{_HTTP}::test_refusals_have_the_service_s_shape",
        "Shapes and 401002, 404201 and 404203 as users quote them; other codes are ours.",
        "iot_core/dps/errors.py",
    ),
    *_enrollments("/enrollments"),
    *_enrollments("/enrollmentGroups"),
    row("GET /registrations/{id}", _DOCUMENTED, _LISTED),
    row("DELETE /registrations/{id}", _DOCUMENTED, _LISTED, "The device on the hub stays."),
    row("POST /registrations/{id}/query", _DOCUMENTED, _LISTED),
)
