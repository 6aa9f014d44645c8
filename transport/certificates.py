"""Certificates for a yard of one machine: a certificate authority, server certificates, and a bundle of trusted roots.

Everything is EC P-256 and satisfies strict X.509 checks (RFC 5280: critical basicConstraints and keyUsage, key
identifiers), which Python 3.13 and later turn on by default.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import os
import re
import secrets
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["CertificateError", "KeyPair", "issue_server_certificate", "make_authority", "trust_bundle"]

AUTHORITY_DAYS = 3650
"""Ten years: the authority lives as long as the hub's data folder."""
SERVER_DAYS = 397
"""The longest that browsers and Apple's clients accept (CA/Browser Forum baseline requirements before 2026)."""
CLOCK_SKEW = timedelta(hours=1)
"""Certificates are valid from an hour ago, so that a client whose clock runs a little late accepts a fresh one."""

_PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(InputError):
    """A certificate or key file is missing, unreadable or not what its name says."""


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM. The key never shows in the repr."""

    certificate_pem: bytes
    private_key_pem: bytes = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The parsed certificate; the first one if the PEM holds a chain. Raises CertificateError."""
        try:
            return x509.load_pem_x509_certificate(self.certificate_pem)
        except ValueError as error:
            raise CertificateError(f"not a PEM certificate: {error}") from error

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """The parsed key, which must be an elliptic curve key. Raises CertificateError."""
        try:
            key = serialization.load_pem_private_key(self.private_key_pem, password=None)
        except (TypeError, ValueError):
            raise CertificateError("not an unencrypted PEM private key") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError("the private key is not an elliptic curve key")
        return key

    def save(self, certificate_path: Path, key_path: Path) -> None:
        """Write both files, each atomically and readable by the owner only. The key goes first."""
        write_private(key_path, self.private_key_pem)
        write_private(certificate_path, self.certificate_pem)

    @classmethod
    def load(cls, certificate_path: Path, key_path: Path) -> KeyPair:
        """Read both files. Raises CertificateError when one is missing, damaged, or they do not belong together."""
        pair = cls(certificate_pem=_read(certificate_path), private_key_pem=_read(key_path))
        try:
            belongs = pair.certificate.public_key() == pair.private_key.public_key()
        except CertificateError as error:
            raise CertificateError(f"{certificate_path} with {key_path}: {error}") from error
        if not belongs:
            raise CertificateError(f"{key_path} is not the private key of {certificate_path}")
        return pair


def make_authority(*, common_name: str = "Edgeyard local authority", now: datetime | None = None) -> KeyPair:
    """A new self-signed certificate authority. A random suffix keeps the subjects of two yards apart."""
    subject = _name(f"{common_name} {secrets.token_hex(4)}")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, subject, key.public_key(), AUTHORITY_DAYS, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return _sign(builder, key, key)


def issue_server_certificate(
    authority: KeyPair,
    names: Iterable[str],
    addresses: Iterable[str] = (),
    *,
    days: int = SERVER_DAYS,
    now: datetime | None = None,
) -> KeyPair:
    """A server certificate for DNS names and IP addresses; its PEM is the chain, leaf then authority.

    The first name (or address) is also the common name. Raises CertificateError without any, or for a bad address.
    """
    alternatives = list(_alternative_names(names, addresses))
    if not alternatives:
        raise CertificateError("a server certificate needs at least one name or address")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    builder = (
        # A common name holds at most 64 characters (RFC 5280, appendix A.1); clients check the other names.
        _builder(_name(str(alternatives[0].value)[:64]), issuer.subject, key.public_key(), days, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    leaf = _sign(builder, authority.private_key, key)
    chain = leaf.certificate_pem + authority.certificate_pem
    return KeyPair(certificate_pem=chain, private_key_pem=leaf.private_key_pem)


def trust_bundle(ca_pem: bytes) -> bytes:
    """PEM of `ca_pem`, then the system's trusted roots, each certificate once.

    The system's are SSL_CERT_FILE when set, the files that OpenSSL looks in by default, and certifi's; absent ones are
    passed over.
    """
    blocks: dict[bytes, None] = {}
    for source in (ca_pem, *_system_roots()):
        blocks.update(dict.fromkeys(_certificates_of(source)))
    return b"".join(ssl.DER_cert_to_PEM_cert(der).encode() for der in blocks)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from error


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(names: Iterable[str], addresses: Iterable[str]) -> Iterator[x509.GeneralName]:
    for name in dict.fromkeys(names):
        try:
            yield x509.DNSName(name)
        except ValueError as error:
            raise CertificateError(f"{name!r} cannot stand in a certificate: {error}") from error
    for address in dict.fromkeys(addresses):
        try:
            yield x509.IPAddress(ip_address(address))
        except ValueError as error:
            raise CertificateError(f"{address!r} is not an IP address") from error


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, now: datetime | None
) -> x509.CertificateBuilder:
    start = (now or datetime.now(UTC)) - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        # One second less, because both ends of the period count (RFC 5280, section 4.1.2.5).
        .not_valid_after(start + timedelta(days=days, seconds=-1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _sign(
    builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey
) -> KeyPair:
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        private_key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _certificates_of(pem: bytes) -> Iterator[bytes]:
    """The DER of every certificate in a PEM text; text around the blocks and damaged blocks are passed over."""
    for match in _PEM_BLOCK.finditer(pem):
        with contextlib.suppress(binascii.Error):
            yield base64.b64decode(b"".join(match[1].split()), validate=True)


def _system_roots() -> Iterator[bytes]:
    defaults = ssl.get_default_verify_paths()
    candidates = [os.environ.get("SSL_CERT_FILE"), defaults.openssl_cafile, defaults.cafile, _certifi_file()]
    for candidate in dict.fromkeys(path for path in candidates if path):
        with contextlib.suppress(OSError):
            yield Path(candidate).read_bytes()


def _certifi_file() -> str | None:
    try:
        return str(importlib.import_module("certifi").where())
    except ImportError:
        return None
