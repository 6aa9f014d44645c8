"""Enrolments, individual and of groups: their REST bodies checked, completed and printed.

Sources: DPS REST reference, "Individual Enrollment" and "Enrollment Group"; "Symmetric key attestation" (keys);
"Reprovisioning concepts" (the default policy). What an update leaves out of an attestation of the same type stays,
since clients read an enrolment, where keys and certificates are not printed, change it and write it back.
"""

from __future__ import annotations

import base64
import enum
import os
from dataclasses import dataclass, field
from typing import Any

from iot_core.dps.certificates import Certificate, read_certificate
from iot_core.dps.errors import provisioning_error
from iot_core.errors import HubError, IdentityError, TwinError
from iot_core.identity import validate_device_id, validate_key, validate_registration_id
from iot_core.json_types import JsonObject
from iot_core.twin import patch_tags, validate_section

__all__ = ["Certificates", "Enrollment", "Kind", "SymmetricKeys", "attestation_body", "parse_enrollment"]

GENERATED_KEY_BYTES = 64
"""What the provisioning service generates; IoT Hub itself makes half of it."""
_POLICIES = ("hashed", "geoLatency", "static")
_NOT_BUILT = {"tpm": "TPM attestation", "custom": "Custom allocation policies"}


class Kind(enum.Enum):
    """The two sorts; the value is the name of their id in REST bodies."""

    INDIVIDUAL = "registrationId"
    GROUP = "enrollmentGroupId"

    @property
    def certificates(self) -> str:
        """The block of an X.509 attestation that such enrolments have."""
        return "clientCertificates" if self is Kind.INDIVIDUAL else "signingCertificates"


@dataclass(frozen=True, kw_only=True, slots=True)
class SymmetricKeys:
    """The two keys of an enrolment."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """The certificates of an enrolment: of the device itself, or of the authorities of a group."""

    primary: Certificate
    secondary: Certificate | None

    @property
    def all(self) -> tuple[Certificate, ...]:
        return (self.primary,) if self.secondary is None else (self.primary, self.secondary)


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrollment:
    """What a service has set; ``extra`` holds what is kept and printed, but has no effect."""

    kind: Kind
    id: str
    attestation: SymmetricKeys | Certificates
    device_id: str | None
    enabled: bool
    iot_edge: bool
    initial_twin: JsonObject | None
    update_hub_assignment: bool
    migrate_device_data: bool
    allocation_policy: str
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
            "iotHubs": list(self.iot_hubs) or None,
            **self.extra,
        }
        return {name: value for name, value in body.items() if value is not None}


def attestation_body(enrollment: Enrollment, *, secret: bool = True) -> JsonObject:
    """The attestation with keys and certificates, or where it is not ``secret`` with the certificates' facts alone."""
    given = enrollment.attestation
    if isinstance(given, SymmetricKeys):
        keys = {"symmetricKey": {"primaryKey": given.primary, "secondaryKey": given.secondary}}
        return {"type": "symmetricKey", **(keys if secret else {})}
    pair = zip(("primary", "secondary"), given.all, strict=False)
    printed = {name: one.stored if secret else {"info": one.info} for name, one in pair}
    return {"type": "x509", "x509": {enrollment.kind.certificates: printed}}


def parse_enrollment(kind: Kind, enrollment_id: str, body: JsonObject, previous: Enrollment | None) -> Enrollment:
    """The enrolment that a PUT asks for, ``previous`` being what it replaces.

    HubError BadRequest, or NotImplemented for what the service has and this one has not.
    """
    if body.get(kind.value, enrollment_id) != enrollment_id:
        raise _bad(f"{kind.value} in the body is not the one of the path.")
    policy = _object(body, "reprovisionPolicy") or {}
    try:
        device_id = _text(body, "deviceId") if kind is Kind.INDIVIDUAL else None
        return Enrollment(
            kind=kind,
            id=validate_registration_id(enrollment_id),
            attestation=_attestation(kind, _object(body, "attestation") or {}, previous),
            device_id=validate_device_id(device_id) if device_id else None,
            enabled=_choice(body, "provisioningStatus", ("enabled", "disabled")) == "enabled",
            iot_edge=_flag(_object(body, "capabilities") or {}, "iotEdge", default=False),
            initial_twin=_initial_twin(body),
            update_hub_assignment=_flag(policy, "updateHubAssignment", default=True),
            migrate_device_data=_flag(policy, "migrateDeviceData", default=True),
            allocation_policy=_choice(body, "allocationPolicy", _POLICIES),
            iot_hubs=_iot_hubs(body),
            extra={name: body[name] for name in ("optionalDeviceInformation",) if body.get(name) is not None},
        )
    except (IdentityError, TwinError) as error:
        raise _bad(f"{error}.") from error


def _attestation(kind: Kind, given: JsonObject, previous: Enrollment | None) -> SymmetricKeys | Certificates:
    name = _choice(given, "type", ("symmetricKey", "x509"))
    if name == "x509":
        return _certificates(kind, _object(given, "x509") or {}, previous)
    keys = _object(given, "symmetricKey") or {}
    before = previous.attestation if previous else None
    old = before if isinstance(before, SymmetricKeys) else None
    return SymmetricKeys(
        primary=_key(_text(keys, "primaryKey") or (old.primary if old else None)),
        secondary=_key(_text(keys, "secondaryKey") or (old.secondary if old else None)),
    )


def _key(text: str | None) -> str:
    return validate_key(text) if text else base64.b64encode(os.urandom(GENERATED_KEY_BYTES)).decode("ascii")


def _certificates(kind: Kind, given: JsonObject, previous: Enrollment | None) -> Certificates:
    if given.get("caReferences"):
        raise _not_built("References to certificates uploaded to the provisioning service (caReferences)")
    block = _object(given, kind.certificates) or {}
    before = previous.attestation if previous else None
    old = before if isinstance(before, Certificates) else None
    primary = _certificate(block, "primary", old.primary if old else None)
    if primary is None:
        raise _bad(f"An X.509 attestation needs x509.{kind.certificates}.primary.certificate.")
    return Certificates(primary=primary, secondary=_certificate(block, "secondary", old.secondary if old else None))


def _certificate(block: JsonObject, name: str, old: Certificate | None) -> Certificate | None:
    given = _object(block, name)
    if given is None:
        return None
    text = _text(given, "certificate")
    return read_certificate(text) if text else old


def _initial_twin(body: JsonObject) -> JsonObject | None:
    """Tags and desired properties; TwinError for what no twin may hold."""
    twin = _object(body, "initialTwin")
    if twin is None:
        return None
    tags = _object(twin, "tags") or {}
    desired = _object(_object(twin, "properties") or {}, "desired") or {}
    own = {name: value for name, value in tags.items() if not name.startswith("$")}
    wanted = {name: value for name, value in desired.items() if not name.startswith("$")}
    patch_tags({}, own)
    validate_section("desired", wanted)
    return {"tags": own, "properties": {"desired": wanted}}


def _iot_hubs(body: JsonObject) -> tuple[str, ...]:
    """The hubs that the enrolment allows; none named means every linked one."""
    single = _text(body, "iotHubHostName")
    given = body.get("iotHubs") or []
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise _bad("iotHubs must be an array of host names.")
    return tuple(dict.fromkeys((*([single] if single else []), *given)))


def _choice(container: JsonObject, name: str, choices: tuple[str, ...]) -> str:
    """One of ``choices`` in any case of letters, the first where none is given."""
    text = _text(container, name) or choices[0]
    found = next((choice for choice in choices if choice.lower() == text.lower()), None)
    if found is None:
        if text.lower() in _NOT_BUILT:
            raise _not_built(_NOT_BUILT[text.lower()])
        raise _bad(f"{name} must be one of {', '.join(choices)}, not {text[:40]!r}.")
    return found


def _flag(container: JsonObject, name: str, *, default: bool) -> bool:
    value = container.get(name)
    if value is not None and not isinstance(value, bool):
        raise _bad(f"{name} must be true or false.")
    return default if value is None else value


def _object(container: JsonObject, name: str) -> JsonObject | None:
    value: JsonObject | None = _typed(container, name, dict, "an object")
    return value


def _text(container: JsonObject, name: str) -> str | None:
    value: str | None = _typed(container, name, str, "a text")
    return value


def _typed(container: JsonObject, name: str, wanted: type, called: str) -> Any:
    value = container.get(name)
    if value is not None and not isinstance(value, wanted):
        raise _bad(f"{name} must be {called}.")
    return value


def _bad(text: str) -> HubError:
    return provisioning_error("BadRequest", text)


def _not_built(feature: str) -> HubError:
    return provisioning_error("NotImplemented", f"{feature}: not built in this local hub.")
