"""Certificates of devices and authorities, made for a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local_hub.auth.x509 import thumbprints


@dataclass(frozen=True, kw_only=True)
class TestCertificate:
    """A certificate with its key; ``above`` is the rest of its chain without the root."""

    __test__ = False

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain(self) -> tuple[bytes, ...]:
        return (self.der, *(one.public_bytes(serialization.Encoding.DER) for one in self.above))

    @property
    def sha1(self) -> str:
        return thumbprints(self.der)[0]

    @property
    def sha256(self) -> str:
        return thumbprints(self.der)[1]

    def save(self, folder: Path) -> tuple[str, str]:
        """Writes chain and key; gives the paths of both."""
        paths = folder / f"{self.sha1}.pem", folder / f"{self.sha1}.key"
        pem = [one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.above)]
        paths[0].write_bytes(b"".join(pem))
        paths[1].write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(paths[0]), str(paths[1])


def make_certificate(
    name: str,
    issuer: TestCertificate | None = None,
    *,
    authority: bool = False,
    start: datetime | None = None,
    days: int = 30,
) -> TestCertificate:
    """A certificate signed by ``issuer``, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = start or datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    intermediate = issuer is not None and issuer.certificate.issuer != issuer.certificate.subject
    above = (issuer.certificate, *issuer.above) if issuer is not None and intermediate else ()
    return TestCertificate(certificate=certificate, key=key, above=above)
