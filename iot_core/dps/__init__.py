"""What the Device Provisioning Service means, with no I/O: ids, log-ins, topics, enrolments, registrations, errors.

Sources: DPS documentation, "Communicate with your DPS using the MQTT protocol", "Symmetric key attestation", "X.509
certificate attestation", "TPM attestation", "Reprovisioning concepts", "Understand custom allocation policies", and its
REST reference.
"""

from __future__ import annotations

from iot_core.dps.allocation import Allocation, CustomAllocation, allocation_request, parse_allocation
from iot_core.dps.attestations import Certificates, Kind, SymmetricKeys, Tpm
from iot_core.dps.enrollment import Enrollment, attestation_body, parse_enrollment
from iot_core.dps.errors import provisioning_error
from iot_core.dps.login import ProvisioningLogin, parse_login, parse_registration
from iot_core.dps.registration import Registration, Status, accepted_body, operation_body, state_body
from iot_core.dps.topics import RESPONSES, Register, StatusQuery, parse_request, response_topic

__all__ = [
    "RESPONSES",
    "Allocation",
    "Certificates",
    "CustomAllocation",
    "Enrollment",
    "Kind",
    "ProvisioningLogin",
    "Register",
    "Registration",
    "Status",
    "StatusQuery",
    "SymmetricKeys",
    "Tpm",
    "accepted_body",
    "allocation_request",
    "attestation_body",
    "operation_body",
    "parse_allocation",
    "parse_enrollment",
    "parse_login",
    "parse_registration",
    "parse_request",
    "provisioning_error",
    "response_topic",
    "state_body",
]
