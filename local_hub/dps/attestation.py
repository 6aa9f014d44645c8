"""Is a device who it says: tokens and certificates judged against enrolments.

A TPM proves itself by a token that is signed with the key of its challenge. An individual enrolment goes before any
group (DPS documentation, "How to disenroll a device"). Whoever is refused hears "Unauthorized" alone. Source of the
rules: DPS documentation, "Symmetric key attestation", "X.509 certificate attestation", "TPM attestation"; that a
registration made with one of two keys refuses the other is what the Azure CLI's own tests find.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iot_core import sas
from iot_core.dps import Certificates, Enrollment, Kind, ProvisioningLogin, SymmetricKeys, Tpm, provisioning_error
from iot_core.errors import HubError, SasError
from iot_core.identity import Identity, derive_device_key
from iot_core.json_types import JsonObject
from iot_core.sas import SasToken
from local_hub.auth.x509 import check_certificate, common_name, thumbprints
from local_hub.dps.challenges import Challenges, TpmKeys
from local_hub.dps.rows import load_enrollment, load_enrollments, load_registration
from local_hub.registry.identity_body import authentication_of

__all__ = ["Attempt", "Attested", "attest", "tpm_enrollment", "unauthorized"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A device that asks: what it calls itself and what it shows, a token or else its certificates (DER, own first).

    ``tpm`` are the keys of its TPM, where it has one; ``payload`` is what it has to say to a webhook.
    """

    login: ProvisioningLogin
    token: str = field(default="", repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    tpm: TpmKeys | None = field(default=None, repr=False)
    payload: Any = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attested:
    """The enrolment that let a device in.

    ``authentication`` is what its identity on the hub is to have; None for a TPM, whose key only the hub makes.
    """

    enrollment: Enrollment
    registration_id: str
    credential: str
    slot: str
    authentication: JsonObject | None = field(repr=False)

    @property
    def group_id(self) -> str | None:
        return self.enrollment.id if self.enrollment.kind is Kind.GROUP else None


def attest(connection: sqlite3.Connection, attempt: Attempt, challenges: Challenges, now: float) -> Attested:
    """HubError Unauthorized unless an enrolment lets the device in; a disabled one does."""
    if attempt.token:
        found = _by_token(connection, attempt, challenges, now)
    else:
        found = _by_certificate(connection, attempt, now)
    if found is None:
        raise unauthorized()
    before = load_registration(connection, found.registration_id)
    same = before is not None and before.group_id == found.group_id and before.credential == found.credential
    if before is not None and same and before.slot != found.slot:
        raise unauthorized()
    return found


def tpm_enrollment(connection: sqlite3.Connection, registration_id: str) -> tuple[Enrollment, Tpm] | None:
    """The enrolment whose TPM may ask for a challenge, and its keys."""
    own = load_enrollment(connection, Kind.INDIVIDUAL, registration_id)
    attestation = own.enrollment.attestation if own is not None else None
    return (own.enrollment, attestation) if own is not None and isinstance(attestation, Tpm) else None


def unauthorized() -> HubError:
    """401, without a word on the cause."""
    return provisioning_error("Unauthorized", "Unauthorized")


def _by_token(connection: sqlite3.Connection, attempt: Attempt, challenges: Challenges, now: float) -> Attested | None:
    try:
        token = sas.parse(attempt.token)
    except SasError:
        return None
    if (found := tpm_enrollment(connection, attempt.login.registration_id)) is not None:
        good = (_signed(token, attempt.login, key, now) for key in challenges.good_keys(*found, now))
        return _attested(found[0], attempt, "tpm", "", None) if any(good) else None
    for enrollment in _candidates(connection, attempt.login.registration_id):
        if isinstance(enrollment.attestation, SymmetricKeys):
            keys = _device_keys(enrollment, enrollment.attestation, attempt.login.registration_id)
            for slot, key in keys.items():
                if _signed(token, attempt.login, key, now):
                    authentication = authentication_of(
                        {"symmetricKey": {f"{name}Key": value for name, value in keys.items()}}, may_be_none=False
                    )
                    return _attested(enrollment, attempt, "symmetricKey", slot, authentication)
    return None


def _by_certificate(connection: sqlite3.Connection, attempt: Attempt, now: float) -> Attested | None:
    if not attempt.chain or (common_name(attempt.chain[0]) or "").lower() != attempt.login.registration_id.lower():
        return None
    for enrollment in _candidates(connection, attempt.login.registration_id):
        if isinstance(enrollment.attestation, Certificates) and _shown(
            enrollment, enrollment.attestation, attempt, now
        ):
            authentication = authentication_of({"x509Thumbprint": _thumbprints(enrollment, attempt)}, may_be_none=False)
            return _attested(enrollment, attempt, "x509", "", authentication)
    return None


def _candidates(connection: sqlite3.Connection, registration_id: str) -> Iterable[Enrollment]:
    """The individual enrolment of that id alone, or else every group."""
    own = load_enrollment(connection, Kind.INDIVIDUAL, registration_id)
    if own is not None:
        return (own.enrollment,)
    return (row.enrollment for row in load_enrollments(connection, Kind.GROUP))


def _device_keys(enrollment: Enrollment, keys: SymmetricKeys, registration_id: str) -> dict[str, str]:
    pair = {"primary": keys.primary, "secondary": keys.secondary}
    if enrollment.kind is Kind.INDIVIDUAL:
        return pair
    return {slot: derive_device_key(key, registration_id) for slot, key in pair.items()}


def _signed(token: SasToken, login: ProvisioningLogin, key: str, now: float) -> bool:
    try:
        sas.verify(token, resource=login.resource, keys=(key,), now=now)
    except SasError:
        return False
    return True


def _shown(enrollment: Enrollment, trusted: Certificates, attempt: Attempt, now: float) -> bool:
    identity = Identity(common_name(attempt.chain[0]) or attempt.login.registration_id)
    if enrollment.kind is Kind.INDIVIDUAL:
        authentication: JsonObject = {"type": "selfSigned", "x509Thumbprint": _thumbprints(enrollment, attempt)}
    else:
        authentication = {"type": "certificateAuthority"}
    try:
        check_certificate(identity, authentication, attempt.chain, (one.der for one in trusted.all), now)
    except HubError:
        return False
    return True


def _thumbprints(enrollment: Enrollment, attempt: Attempt) -> JsonObject:
    """Of the device's own certificates: those of its enrolment, or in a group the one it showed."""
    given = enrollment.attestation
    if enrollment.kind is Kind.INDIVIDUAL and isinstance(given, Certificates):
        ders = [one.der for one in given.all]
    else:
        ders = [attempt.chain[0]]
    names = ("primaryThumbprint", "secondaryThumbprint")
    return {name: thumbprints(der)[1] for name, der in zip(names, ders, strict=False)}


def _attested(
    enrollment: Enrollment, attempt: Attempt, credential: str, slot: str, authentication: JsonObject | None
) -> Attested:
    individual = enrollment.kind is Kind.INDIVIDUAL
    return Attested(
        enrollment=enrollment,
        registration_id=enrollment.id if individual else attempt.login.registration_id,
        credential=credential,
        slot=slot,
        authentication=authentication,
    )
