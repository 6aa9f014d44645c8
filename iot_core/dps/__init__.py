"""What the Device Provisioning Service means, with no I/O: ids, log-ins, topics, enrolments, registrations, errors.

Sources: DPS documentation, "Communicate with your DPS using the MQTT protocol", "Symmetric key attestation", "X.509
certificate attestation", "Reprovisioning concepts", and its REST reference.
"""

from __future__ import annotations

from iot_core.dps.enrollment import Certificates, Enrollment, Kind, SymmetricKeys, attestation_body, parse_enrollment
from iot_core.dps.errors import provisioning_error
from iot_core.dps.login import ProvisioningLogin, parse_login
from iot_core.dps.registration import Registration, Status, accepted_body, operation_body, state_body
from iot_core.dps.topics import RESPONSES, Register, StatusQuery, parse_request, response_topic

__all__ = [
    "RESPONSES",
    "Certificates",
    "Enrollment",
    "Kind",
    "ProvisioningLogin",
    "Register",
    "Registration",
    "Status",
    "StatusQuery",
    "SymmetricKeys",
    "accepted_body",
    "attestation_body",
    "operation_body",
    "parse_enrollment",
    "parse_login",
    "parse_request",
    "provisioning_error",
    "response_topic",
    "state_body",
]
