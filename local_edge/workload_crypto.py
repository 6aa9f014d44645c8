"""What the workload API computes: signatures, sealed texts and certificates of one module."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iot_core.errors import InputError
from transport.certificates import KeyPair

__all__ = ["WorkloadInputError", "decode_base64", "identity_certificate", "seal", "sign", "unseal"]

IDENTITY_DAYS = 30
"""Life of a module's client certificate; modules ask for a new one when they need it."""


class WorkloadInputError(InputError):
    """A field of a workload request cannot be used."""


def decode_base64(value: object, name: str) -> bytes:
    """The bytes of a base64 field; WorkloadInputError otherwise."""
    if not isinstance(value, str):
        raise WorkloadInputError(f"{name} must be a base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:  # binascii.Error, or a text that is not ASCII
        raise WorkloadInputError(f"{name} is not base64") from None


def sign(data: bytes, key: str) -> str:
    """HMAC-SHA256 of `data` with the base64 `key`, as base64."""
    return base64.b64encode(hmac.new(base64.b64decode(key), data, sha256).digest()).decode()


def seal(plaintext: bytes, *, vector: bytes, owner: str, master: bytes) -> bytes:
    """`plaintext` encrypted for `owner` (module and generation).

    AES-SIV, so that a caller who repeats an initialization vector reveals no more than that two texts are equal.
    """
    if not plaintext:
        raise WorkloadInputError("plaintext is empty")
    return AESSIV(master).encrypt(plaintext, [owner.encode(), vector])


def unseal(ciphertext: bytes, *, vector: bytes, owner: str, master: bytes) -> bytes:
    """The plaintext; WorkloadInputError when it was not sealed for this owner with this vector."""
    try:
        return AESSIV(master).decrypt(ciphertext, [owner.encode(), vector])
    except (InvalidTag, ValueError):
        raise WorkloadInputError("the ciphertext does not belong to this module, generation and vector") from None


def identity_certificate(authority: KeyPair, *, module: str, uri: str, now: float) -> tuple[KeyPair, datetime]:
    """A client certificate for `module` (CN) and `uri` (subject alternative name), with its end."""
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.fromtimestamp(now, UTC)
    end = start + timedelta(days=IDENTITY_DAYS)
    issuer = authority.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, module[:64])]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
        .sign(authority.private_key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + authority.certificate_pem
    return KeyPair(certificate_pem=chain, private_key_pem=_private_pem(key)), end


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
