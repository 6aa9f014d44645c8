"""How enrolments attest devices: by symmetric key, X.509 certificates or TPM; the blocks of REST bodies.

Sources: DPS documentation, "Symmetric key attestation", "X.509 certificate attestation", "TPM attestation"; REST
reference, "AttestationMechanism". What an update leaves out of an attestation of the same type stays, since clients
read an enrolment, where keys and certificates are not printed, change it and write it back.
"""

from __future__ import annotations

import base64
import enum
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from iot_core.dps.certificates import Certificate, read_certificate
from iot_core.dps.fields import bad, choice_of, not_built, object_of, text_of
from iot_core.dps.tpm import read_public_key
from iot_core.errors import InputError
from iot_core.identity import validate_key
from iot_core.json_types import JsonObject

__all__ = ["Attestation", "Certificates", "Kind", "SymmetricKeys", "Tpm", "attestation_block", "parse_attestation"]

GENERATED_KEY_BYTES = 64
"""What the provisioning service generates; IoT Hub itself makes half of it."""


class Kind(enum.Enum):
    """The two sorts of enrolments; the value is the name of their id in REST bodies."""

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
class Tpm:
    """The public keys of a device's TPM, base64 of TPM2B_PUBLIC; ``storage_root_key`` None takes any."""

    endorsement_key: str
    storage_root_key: str | None = None


Attestation: TypeAlias = SymmetricKeys | Certificates | Tpm


def attestation_block(kind: Kind, given: Attestation, *, secret: bool = True) -> JsonObject:
    """The attestation with keys and certificates, or where it is not ``secret`` with what is public alone."""
    match given:
        case SymmetricKeys():
            keys = {"symmetricKey": {"primaryKey": given.primary, "secondaryKey": given.secondary}}
            return {"type": "symmetricKey", **(keys if secret else {})}
        case Certificates():
            pair = zip(("primary", "secondary"), given.all, strict=False)
            printed = {name: one.stored if secret else {"info": one.info} for name, one in pair}
            return {"type": "x509", "x509": {kind.certificates: printed}}
        case Tpm():
            storage_root = {} if given.storage_root_key is None else {"storageRootKey": given.storage_root_key}
            return {"type": "tpm", "tpm": {"endorsementKey": given.endorsement_key, **storage_root}}


def parse_attestation(kind: Kind, given: JsonObject, previous: Attestation | None) -> Attestation:
    """The attestation of a body, ``previous`` being what it replaces.

    HubError BadRequest, or NotImplemented for what the service has and this one has not; IdentityError for a bad key.
    """
    name = choice_of(given, "type", tuple(_PARSERS))
    return _PARSERS[name](kind, object_of(given, name) or {}, previous)


def _symmetric_keys(_kind: Kind, given: JsonObject, previous: Attestation | None) -> SymmetricKeys:
    old = previous if isinstance(previous, SymmetricKeys) else None
    return SymmetricKeys(
        primary=_key(text_of(given, "primaryKey") or (old.primary if old else None)),
        secondary=_key(text_of(given, "secondaryKey") or (old.secondary if old else None)),
    )


def _key(text: str | None) -> str:
    return validate_key(text) if text else base64.b64encode(os.urandom(GENERATED_KEY_BYTES)).decode("ascii")


def _certificates(kind: Kind, given: JsonObject, previous: Attestation | None) -> Certificates:
    if given.get("caReferences"):
        raise not_built("References to certificates uploaded to the provisioning service (caReferences)")
    block = object_of(given, kind.certificates) or {}
    old = previous if isinstance(previous, Certificates) else None
    primary = _certificate(block, "primary", old.primary if old else None)
    if primary is None:
        raise bad(f"An X.509 attestation needs x509.{kind.certificates}.primary.certificate.")
    return Certificates(primary=primary, secondary=_certificate(block, "secondary", old.secondary if old else None))


def _certificate(block: JsonObject, name: str, old: Certificate | None) -> Certificate | None:
    given = object_of(block, name)
    if given is None:
        return None
    text = text_of(given, "certificate")
    return read_certificate(text) if text else old


def _tpm(kind: Kind, given: JsonObject, previous: Attestation | None) -> Tpm:
    if kind is Kind.GROUP:
        raise bad("TPM attestation is for individual enrollments alone.")
    old = previous if isinstance(previous, Tpm) else None
    endorsement = text_of(given, "endorsementKey") or (old.endorsement_key if old else None)
    if not endorsement:
        raise bad("A TPM attestation needs tpm.endorsementKey.")
    storage_root = text_of(given, "storageRootKey")
    for name, key in (("endorsementKey", endorsement), ("storageRootKey", storage_root)):
        _check_public_key(name, key)
    return Tpm(endorsement_key=endorsement, storage_root_key=storage_root or None)


def _check_public_key(name: str, key: str | None) -> None:
    try:
        if key:
            read_public_key(base64.b64decode(key, validate=True))
    except (InputError, ValueError) as error:
        raise bad(f"tpm.{name} cannot be used: {error}.") from None


_PARSERS: Mapping[str, Callable[[Kind, JsonObject, Attestation | None], Attestation]] = {
    "symmetricKey": _symmetric_keys,
    "x509": _certificates,
    "tpm": _tpm,
}
