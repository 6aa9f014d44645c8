"""The certificate authorities that device certificates may chain to (IoT Hub documentation, "Upload and verify a
certificate authority"). Kept in the database; a change counts for the next log-in.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from iot_core.clock import Clock, iso
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.limits import AUTHORITIES_PER_HUB
from local_hub.auth.x509 import thumbprints
from transport.store import Store

__all__ = ["Authorities", "Authority"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Authority:
    """A trusted authority; ``thumbprint`` is the SHA-256 one, times are unix seconds."""

    thumbprint: str
    subject: str
    expires: float
    added: float
    der: bytes = field(repr=False)

    @property
    def document(self) -> JsonObject:
        """``{"thumbprint", "subject", "expires", "added"}``, times in ISO 8601."""
        return {
            "thumbprint": self.thumbprint,
            "subject": self.subject,
            "expires": iso(self.expires),
            "added": iso(self.added),
        }


class Authorities:
    """The hub's trusted authorities; ``load`` first. Reads are in memory, changes return once they are on disk."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._authorities: dict[str, Authority] = {}

    async def load(self) -> None:
        """Read what is on disk."""
        self._authorities = {found.thumbprint: found for found in self._store.read(_load)}

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates, DER."""
        return tuple(authority.der for authority in self._authorities.values())

    def list(self) -> tuple[Authority, ...]:
        """All of them, the oldest first."""
        return tuple(sorted(self._authorities.values(), key=lambda authority: (authority.added, authority.subject)))

    async def trust(self, data: bytes) -> tuple[Authority, ...]:
        """Trust every certificate in a PEM text, or the one in DER bytes; one that is trusted already stays as it is.

        HubError ArgumentInvalid: no certificate, not an authority's certificate, or more than 25 in all.
        """
        given = [_authority(certificate, self._clock.now()) for certificate in _parsed(data)]
        await self._store.write(lambda connection: _insert(connection, given))
        for authority in given:
            self._authorities.setdefault(authority.thumbprint, authority)
        return tuple(self._authorities[authority.thumbprint] for authority in given)

    async def remove(self, thumbprint: str) -> None:
        """Trust one no longer; connections that stand go on. HubError ArgumentInvalid when it is not trusted."""
        wanted = thumbprint.replace(":", "").upper()
        if wanted not in self._authorities:
            raise _invalid(f"No trusted authority has the thumbprint {thumbprint[:100]!r}.")
        await self._store.write(
            lambda connection: connection.execute("DELETE FROM authorities WHERE thumbprint = ?", (wanted,)) and None
        )
        self._authorities.pop(wanted, None)


def _load(connection: sqlite3.Connection) -> list[Authority]:
    rows = connection.execute("SELECT certificate, added FROM authorities").fetchall()
    return [_authority(x509.load_der_x509_certificate(der), added) for der, added in rows]


def _insert(connection: sqlite3.Connection, given: list[Authority]) -> None:
    rows = [(authority.thumbprint, authority.der, authority.added) for authority in given]
    connection.executemany("INSERT OR IGNORE INTO authorities VALUES (?, ?, ?)", rows)
    count = connection.execute("SELECT count(*) FROM authorities").fetchone()[0]
    if count > AUTHORITIES_PER_HUB:
        raise _invalid(f"A hub trusts {AUTHORITIES_PER_HUB} authorities at most: remove one first.")


def _parsed(data: bytes) -> list[x509.Certificate]:
    try:
        is_pem = b"-----BEGIN" in data
        certificates = x509.load_pem_x509_certificates(data) if is_pem else [x509.load_der_x509_certificate(data)]
    except ValueError:
        raise _invalid("The file holds no certificate, neither as PEM nor as DER.") from None
    for certificate in certificates:
        if not _is_authority(certificate):
            name = certificate.subject.rfc4514_string()
            raise _invalid(f"{name[:200]!r} is not an authority: its basic constraints do not allow it to sign others.")
    return certificates


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _authority(certificate: x509.Certificate, added: float) -> Authority:
    der = certificate.public_bytes(Encoding.DER)
    return Authority(
        thumbprint=thumbprints(der)[1],
        subject=certificate.subject.rfc4514_string(),
        expires=certificate.not_valid_after_utc.timestamp(),
        added=added,
        der=der,
    )


def _invalid(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)
