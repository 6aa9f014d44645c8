"""The hub's certificate authority and server certificate: made when missing, re-issued when they no longer fit."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from local_hub.home import HubHome
from transport.certificates import (
    CertificateError,
    KeyPair,
    issue_server_certificate,
    make_authority,
    trust_bundle,
)
from transport.private_files import write_private

__all__ = ["prepare_certificates"]

RENEW_BEFORE = timedelta(days=30)
"""A certificate with less time left is re-issued at start."""


def prepare_certificates(home: HubHome, names: Iterable[str]) -> None:
    """Leave an authority, a server certificate for ``names`` and the trust bundle in the hub's folder.

    Raises CertificateError when files there are damaged: replacing an authority would cut off whoever trusts it.
    """
    authority = _authority(home)
    wanted = tuple(names)
    if not _fits(home, authority, wanted):
        domains = [name for name in wanted if not _is_address(name)]
        addresses = [name for name in wanted if _is_address(name)]
        issue_server_certificate(authority, domains, addresses).save(home.certificate, home.key)
    write_private(home.bundle, trust_bundle(authority.certificate_pem), durable=False)


def _authority(home: HubHome) -> KeyPair:
    if home.authority.exists() or home.authority_key.exists():
        return KeyPair.load(home.authority, home.authority_key)
    authority = make_authority()
    authority.save(home.authority, home.authority_key)
    return authority


def _fits(home: HubHome, authority: KeyPair, names: tuple[str, ...]) -> bool:
    """Whether the certificate on disk is of this authority, covers every name and lasts a while."""
    try:
        certificate = KeyPair.load(home.certificate, home.key).certificate
        certificate.verify_directly_issued_by(authority.certificate)
    except (CertificateError, InvalidSignature, ValueError, TypeError):
        return False
    lasts = certificate.not_valid_after_utc - RENEW_BEFORE > datetime.now(UTC)
    return lasts and set(names) <= _covered(certificate)


def _covered(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
