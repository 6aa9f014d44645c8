"""Certificates in enrolments: PEM, or base64 of PEM or DER as clients write them, and the facts the service prints."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from iot_core.clock import iso
from iot_core.dps.errors import provisioning_error
from iot_core.json_types import JsonObject

__all__ = ["Certificate", "describe_certificate", "read_certificate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """A certificate of an enrolment; ``info`` as the REST API prints it."""

    der: bytes = field(repr=False)
    info: JsonObject

    @property
    def stored(self) -> JsonObject:
        """As an enrolment holds it; ``read_certificate`` reads it back."""
        return {"certificate": base64.b64encode(self.der).decode("ascii"), "info": self.info}


def read_certificate(text: str) -> Certificate:
    """HubError BadRequest when the text is no certificate."""
    try:
        return _described(_parsed(text))
    except ValueError:
        raise provisioning_error("BadRequest", "The attestation holds no certificate that can be read.") from None


def describe_certificate(der: bytes) -> JsonObject:
    """The facts of a certificate that has been judged."""
    return _described(x509.load_der_x509_certificate(der)).info


def _parsed(text: str) -> x509.Certificate:
    data = text.encode("utf-8")
    if b"-----BEGIN" not in data:
        try:
            data = base64.b64decode(data, validate=False)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    return x509.load_pem_x509_certificate(data) if b"-----BEGIN" in data else x509.load_der_x509_certificate(data)


def _described(certificate: x509.Certificate) -> Certificate:
    info = {
        "subjectName": certificate.subject.rfc4514_string(),
        "sha1Thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),
        "sha256Thumbprint": certificate.fingerprint(hashes.SHA256()).hex().upper(),
        "issuerName": certificate.issuer.rfc4514_string(),
        "notBeforeUtc": iso(certificate.not_valid_before_utc.timestamp()),
        "notAfterUtc": iso(certificate.not_valid_after_utc.timestamp()),
        "serialNumber": f"{certificate.serial_number:X}",
        "version": certificate.version.value + 1,
    }
    return Certificate(der=certificate.public_bytes(Encoding.DER), info=info)
