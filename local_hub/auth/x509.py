"""Certificates of devices, judged: by thumbprint, or by a chain to a trusted authority (IoT Hub documentation,
"Authenticate identities with X.509 certificates").

A thumbprint trusts one certificate whatever its dates; a chain is checked with its dates, and the certificate's common
name must be the identity, "device" or "device/module".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from transport.tls import ClientCertificate

__all__ = ["X509_TYPES", "check_certificate", "common_name", "judged_at_login", "thumbprints"]

X509_TYPES = ("selfSigned", "certificateAuthority")
"""The authentication types whose devices log in with a certificate."""


def judged_at_login(_certificate: ClientCertificate) -> bool:
    """For the TLS layer: every certificate passes the handshake, since only the log-in says whose it must be."""
    return True


def thumbprints(der: bytes) -> tuple[str, str]:
    """A certificate's SHA-1 and SHA-256 thumbprints, hexadecimal in capitals."""
    sha1 = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
    return sha1, hashlib.sha256(der).hexdigest().upper()


def check_certificate(
    identity: Identity, authentication: JsonObject, chain: Sequence[bytes], authorities: Iterable[bytes], now: float
) -> None:
    """Returns when the certificate at the head of ``chain`` is the identity's; everything is DER.

    HubError IotHubUnauthorized, also when the chain is empty.
    """
    if not chain:
        raise _refused(f"'{identity}' logs in with a certificate, and the client showed none")
    if authentication["type"] == "selfSigned":
        _check_thumbprint(identity, authentication["x509Thumbprint"], chain[0])
    else:
        _check_chain(identity, chain, authorities, now)
        _check_name(identity, chain[0])


def _check_thumbprint(identity: Identity, registered: JsonObject, der: bytes) -> None:
    shown = thumbprints(der)
    wanted = [text.upper() for text in registered.values() if text]
    # A list, not a generator: every pair is compared, so that the time does not tell which one matched.
    matches = [hmac.compare_digest(one, other) for one in wanted for other in shown]
    if not any(matches):
        raise _refused(
            f"Thumbprint mismatch for '{identity}': the certificate has SHA-1 {shown[0]} and SHA-256 {shown[1]}, "
            f"registered is {' and '.join(wanted) or 'none'}"
        )


def _check_chain(identity: Identity, chain: Sequence[bytes], authorities: Iterable[bytes], now: float) -> None:
    try:
        store = crypto.X509Store()
        # An authority may be registered below its root (the service verifies possession of each one).
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(datetime.fromtimestamp(now, UTC))
        for authority in authorities:
            store.add_cert(_loaded(authority))
        crypto.X509StoreContext(store, _loaded(chain[0]), [_loaded(der) for der in chain[1:]]).verify_certificate()
    except crypto.X509StoreContextError as error:
        text = f"The certificate of '{identity}' has no valid chain to a registered authority: {error}"
        raise _refused(text) from None
    except crypto.Error:
        raise _refused(f"The certificate of '{identity}' cannot be read") from None


def _check_name(identity: Identity, der: bytes) -> None:
    name = common_name(der)
    if name != identity.path:
        shown = "none" if name is None else repr(name[:200])
        raise _refused(f"The certificate's common name must be '{identity}'; it is {shown}")


def common_name(der: bytes) -> str | None:
    """The one common name of a certificate's subject; None when it has none or several, or is not a certificate."""
    try:
        names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None
    return str(names[0].value) if len(names) == 1 else None


def _loaded(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def _refused(text: str) -> HubError:
    return hub_error("IotHubUnauthorized", f"{text}.")
