"""Enrolments, individual and of groups: their REST bodies checked, completed and printed.

Sources: DPS REST reference, "Individual Enrollment" and "Enrollment Group"; "Reprovisioning concepts" and "How to use
allocation policies" (the defaults).
"""

from __future__ import annotations

from dataclasses import dataclass

from iot_core.dps.allocation import CustomAllocation, parse_custom_allocation
from iot_core.dps.attestations import Attestation, Kind, attestation_block, parse_attestation
from iot_core.dps.fields import bad, choice_of, flag_of, object_of, text_of
from iot_core.dps.twins import parse_initial_twin
from iot_core.errors import IdentityError, TwinError
from iot_core.identity import validate_device_id, validate_registration_id
from iot_core.json_types import JsonObject

__all__ = ["Enrollment", "attestation_body", "parse_enrollment"]

_POLICIES = ("hashed", "geoLatency", "static", "custom")


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrollment:
    """What a service has set; ``extra`` holds what is kept and printed, but has no effect."""

    kind: Kind
    id: str
    attestation: Attestation
    device_id: str | None
    enabled: bool
    iot_edge: bool
    initial_twin: JsonObject | None
    update_hub_assignment: bool
    migrate_device_data: bool
    allocation_policy: str
    custom_allocation: CustomAllocation | None
    iot_hubs: tuple[str, ...]
    extra: JsonObject

    @property
    def document(self) -> JsonObject:
        """The enrolment as it is stored and, but for keys and certificates, printed."""
        body: JsonObject = {
            self.kind.value: self.id,
            "deviceId": self.device_id,
            "attestation": attestation_body(self),
            "capabilities": {"iotEdge": self.iot_edge},
            "initialTwin": self.initial_twin,
            "provisioningStatus": "enabled" if self.enabled else "disabled",
            "reprovisionPolicy": {
                "updateHubAssignment": self.update_hub_assignment,
                "migrateDeviceData": self.migrate_device_data,
            },
            "allocationPolicy": self.allocation_policy,
            "customAllocationDefinition": self.custom_allocation.document if self.custom_allocation else None,
            "iotHubs": list(self.iot_hubs) or None,
            **self.extra,
        }
        return {name: value for name, value in body.items() if value is not None}


def attestation_body(enrollment: Enrollment, *, secret: bool = True) -> JsonObject:
    """See ``attestation_block``."""
    return attestation_block(enrollment.kind, enrollment.attestation, secret=secret)


def parse_enrollment(kind: Kind, enrollment_id: str, body: JsonObject, previous: Enrollment | None) -> Enrollment:
    """The enrolment that a PUT asks for, ``previous`` being what it replaces.

    HubError BadRequest, or NotImplemented for what the service has and this one has not.
    """
    if body.get(kind.value, enrollment_id) != enrollment_id:
        raise bad(f"{kind.value} in the body is not the one of the path.")
    reprovision = object_of(body, "reprovisionPolicy") or {}
    attestation, before = object_of(body, "attestation") or {}, previous.attestation if previous else None
    policy = choice_of(body, "allocationPolicy", _POLICIES)
    try:
        device_id = text_of(body, "deviceId") if kind is Kind.INDIVIDUAL else None
        return Enrollment(
            kind=kind,
            id=validate_registration_id(enrollment_id),
            attestation=parse_attestation(kind, attestation, before),
            device_id=validate_device_id(device_id) if device_id else None,
            enabled=choice_of(body, "provisioningStatus", ("enabled", "disabled")) == "enabled",
            iot_edge=flag_of(object_of(body, "capabilities") or {}, "iotEdge", default=False),
            initial_twin=parse_initial_twin(body),
            update_hub_assignment=flag_of(reprovision, "updateHubAssignment", default=True),
            migrate_device_data=flag_of(reprovision, "migrateDeviceData", default=True),
            allocation_policy=policy,
            custom_allocation=parse_custom_allocation(body, policy),
            iot_hubs=_iot_hubs(body),
            extra={name: body[name] for name in ("optionalDeviceInformation",) if body.get(name) is not None},
        )
    except (IdentityError, TwinError) as error:
        raise bad(f"{error}.") from error


def _iot_hubs(body: JsonObject) -> tuple[str, ...]:
    """The hubs that the enrolment allows; none named means every linked one."""
    single = text_of(body, "iotHubHostName")
    given = body.get("iotHubs") or []
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise bad("iotHubs must be an array of host names.")
    return tuple(dict.fromkeys((*([single] if single else []), *given)))
