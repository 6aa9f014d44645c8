"""Certificates: the edge's own authority and server certificate, and whom the edge trusts towards the hub."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from local_edge.config import EdgeConfig
from local_edge.errors import EdgeSettingsError
from transport.certificates import KeyPair, issue_server_certificate, make_authority

__all__ = ["TlsMaterial", "prepare_tls", "split_names", "upstream_context"]

RENEW_BEFORE = timedelta(days=30)
"""A server certificate that ends sooner is issued anew at start."""


@dataclass(frozen=True, kw_only=True)
class TlsMaterial:
    """The authority in memory, the server's files for the listening sockets."""

    authority: KeyPair
    certificate_path: Path
    key_path: Path


def prepare_tls(config: EdgeConfig) -> TlsMaterial:
    """Make what is missing; the server certificate covers the host, localhost and the device id."""
    authority_paths, server_paths = config.files.authority, config.files.server
    if not all(path.exists() for path in authority_paths):
        make_authority(common_name=f"Edgeyard edge {config.device_id[:20]}").save(*authority_paths)
    authority = KeyPair.load(*authority_paths)
    names, addresses = split_names([config.host, "localhost", config.device_id])
    if not _usable(server_paths, {*names, *addresses}):
        issue_server_certificate(authority, names, [*addresses, "127.0.0.1"]).save(*server_paths)
    return TlsMaterial(authority=authority, certificate_path=server_paths[0], key_path=server_paths[1])


def upstream_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust in the system's authorities and, when given, in those of `ca_file`; EdgeSettingsError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise EdgeSettingsError(f"the CA file {ca_file} cannot be used: {error.strerror or error}") from None
    return context


def split_names(candidates: list[str]) -> tuple[list[str], list[str]]:
    """DNS names and IP addresses apart; what cannot be a name in a certificate is left out."""
    addresses = [text for text in candidates if _is_address(text)]
    names = [text for text in candidates if text not in addresses and _is_dns_name(text)]
    return names, addresses


def _usable(paths: tuple[Path, Path], wanted: set[str]) -> bool:
    if not all(path.exists() for path in paths):
        return False
    certificate = KeyPair.load(*paths).certificate
    present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = {str(name.value) for name in present}
    return wanted <= names and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_dns_name(text: str) -> bool:
    return text.isascii() and all(character.isalnum() or character in "-._" for character in text)
