"""TLS without I/O: ciphertext in, plaintext out, and back, on memory buffers that stay small.

Two engines share one seam. The server's stands on pyOpenSSL, because only there can a callback accept a self-signed
client certificate; the client's stands on the standard library's `ssl`, which checks host names and takes the caller's
SSLContext.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, dump_certificate

from iot_core.errors import EdgeyardError
from transport.certificates import CertificateError

__all__ = ["RECORD_BYTES", "ClientCertificate", "ClientEngine", "Engine", "ServerContext", "ServerEngine", "TlsError"]

RECORD_BYTES = 16384
"""The most plaintext that one TLS record carries (RFC 8446, section 5.1)."""
_SEALED_BYTES = RECORD_BYTES + 1024
"""Room for a sealed record: TLS 1.2 adds up to 1,024 bytes (RFC 5246, section 6.2.3), TLS 1.3 less."""
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2 only with forward secrecy and authenticated encryption; TLS 1.3 has no others."""


class TlsError(EdgeyardError):
    """The TLS handshake failed, or the peer broke the TLS protocol."""


@dataclass(frozen=True, kw_only=True)
class ClientCertificate:
    """A certificate of the client's chain as a verify callback sees it: depth 0 is the client's own."""

    der: bytes = field(repr=False)
    depth: int
    error: int
    """OpenSSL's verdict (X509_V_ERR_*); 0 when it found nothing wrong, 18 for self-signed."""


VerifyCallback = Callable[[ClientCertificate], bool]
"""Whether to accept a certificate; called for each of the chain, and for every error that OpenSSL finds in it."""


class Engine(Protocol):
    """One TLS connection. Call `pending()` after each other call: it holds what must be sent to the peer."""

    def feed(self, ciphertext: memoryview) -> None:
        """Take bytes from the peer; at most RECORD_BYTES at once keeps the buffers small."""

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is complete. Raises TlsError."""

    def read(self) -> bytes | None:
        """The next piece of plaintext; None when more ciphertext is needed, b"" after close_notify. Raises TlsError."""

    def write(self, plaintext: memoryview) -> None:
        """Seal up to RECORD_BYTES."""

    def shutdown(self) -> None:
        """Put close_notify behind what was written; never raises."""

    def pending(self) -> bytes:
        """Take the ciphertext that waits to be sent; b"" when there is none."""

    def peer_certificate_der(self) -> bytes | None:
        """The peer's own certificate, None when it sent none."""

    def peer_chain_der(self) -> tuple[bytes, ...]:
        """The certificates the peer sent, its own first; unjudged, and empty when it sent none."""

    def alpn(self) -> str | None:
        """The application protocol agreed on, if any."""

    def version(self) -> str | None:
        """The protocol version agreed on, such as "TLSv1.3"."""


class ServerContext:
    """What the server's TLS connections share: certificate chain, key, rules. TLS 1.2 at least.

    With `verify`, clients are asked for a certificate and may leave it out; the callback alone judges those sent.
    Raises CertificateError when the files cannot be used.
    """

    def __init__(
        self,
        certificate_path: Path | str,
        key_path: Path | str,
        verify: VerifyCallback | None = None,
        *,
        alpn: Sequence[str] = (),
    ) -> None:
        self.context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self.context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self.context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        self.context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
        # A resumed session would pass by the verify callback.
        self.context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.context.set_cipher_list(_CIPHERS)
        self._load(str(certificate_path), str(key_path))
        if verify is not None:
            self.context.set_verify(SSL.VERIFY_PEER, _adapt(verify))
        if alpn:
            self.context.set_alpn_select_callback(_selector(alpn))

    def engine(self) -> ServerEngine:
        """The engine of one new connection."""
        return ServerEngine(self.context)

    def _load(self, certificate_path: str, key_path: str) -> None:
        try:
            self.context.use_certificate_chain_file(certificate_path)
            self.context.use_privatekey_file(key_path)
            self.context.check_privatekey()
        except SSL.Error as error:
            raise CertificateError(f"cannot use {certificate_path} with {key_path}: {_reason(error)}") from None


class ServerEngine:
    """The server's side on pyOpenSSL."""

    __slots__ = ("_connection",)

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()

    def feed(self, ciphertext: memoryview) -> None:
        self._connection.bio_write(ciphertext)

    def handshake(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsError(_reason(error)) from None
        return True

    def read(self) -> bytes | None:
        try:
            return self._connection.recv(RECORD_BYTES)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise TlsError(_reason(error)) from None

    def write(self, plaintext: memoryview) -> None:
        try:
            self._connection.send(plaintext)
        except SSL.Error as error:
            raise TlsError(_reason(error)) from None

    def shutdown(self) -> None:
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()

    def pending(self) -> bytes:
        pieces = []
        with contextlib.suppress(SSL.WantReadError):
            while True:
                piece = self._connection.bio_read(_SEALED_BYTES)
                pieces.append(piece)
                if len(piece) < _SEALED_BYTES:
                    break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def peer_certificate_der(self) -> bytes | None:
        certificate = self._connection.get_peer_certificate()
        return None if certificate is None else _der(certificate)

    def peer_chain_der(self) -> tuple[bytes, ...]:
        own = self.peer_certificate_der()
        if own is None:
            return ()
        # OpenSSL leaves the client's own certificate out of the chain on the server's side.
        sent = map(_der, self._connection.get_peer_cert_chain() or ())
        return (own, *(certificate for certificate in sent if certificate != own))

    def alpn(self) -> str | None:
        return self._connection.get_alpn_proto_negotiated().decode() or None

    def version(self) -> str | None:
        return self._connection.get_protocol_version_name()


class ClientEngine:
    """The client's side on the standard library; the context checks the certificate for `server_hostname`."""

    __slots__ = ("_incoming", "_object", "_outgoing")

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)

    def feed(self, ciphertext: memoryview) -> None:
        self._incoming.write(ciphertext)

    def handshake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise TlsError(_library_reason(error)) from None
        return True

    def read(self) -> bytes | None:
        try:
            return self._object.read(RECORD_BYTES)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(_library_reason(error)) from None

    def write(self, plaintext: memoryview) -> None:
        try:
            self._object.write(plaintext)
        except ssl.SSLError as error:
            raise TlsError(_library_reason(error)) from None

    def shutdown(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()

    def pending(self) -> bytes:
        return self._outgoing.read()

    def peer_certificate_der(self) -> bytes | None:
        return self._object.getpeercert(binary_form=True)

    def peer_chain_der(self) -> tuple[bytes, ...]:
        own = self.peer_certificate_der()
        return () if own is None else (own,)

    def alpn(self) -> str | None:
        return self._object.selected_alpn_protocol()

    def version(self) -> str | None:
        return self._object.version()


def _adapt(verify: VerifyCallback) -> Callable[[SSL.Connection, X509, int, int, int], bool]:
    def callback(_connection: SSL.Connection, certificate: X509, error: int, depth: int, _verdict: int) -> bool:
        return verify(ClientCertificate(der=_der(certificate), depth=depth, error=error))

    return callback


def _der(certificate: X509) -> bytes:
    # Written by OpenSSL, which takes certificates that cryptography's stricter parser does not.
    return dump_certificate(FILETYPE_ASN1, certificate)


def _selector(
    offered: Sequence[str],
) -> Callable[[SSL.Connection, list[bytes]], bytes | SSL._NoOverlappingProtocols]:
    ours = [name.encode("ascii") for name in offered]

    def select(_connection: SSL.Connection, theirs: list[bytes]) -> bytes | SSL._NoOverlappingProtocols:
        return next((name for name in ours if name in theirs), SSL.NO_OVERLAPPING_PROTOCOLS)

    return select


def _reason(error: SSL.Error) -> str:
    """One line out of pyOpenSSL's list of (library, function, reason)."""
    if error.args and isinstance(error.args[0], list):
        return "; ".join(str(entry[-1]) for entry in error.args[0]) or "TLS failed"
    return " ".join(str(part) for part in error.args if isinstance(part, str)) or "TLS failed"


def _library_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
