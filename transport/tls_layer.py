"""TLS as a layer between an asyncio transport and any asyncio.Protocol, with bounded buffers for each connection.

asyncio's own layer keeps a 256 KiB read buffer for every TLS connection; this one feeds its engine a record at a time.
The inner protocol hears `connection_made` after the handshake, exactly as it would from asyncio.

    phases: HANDSHAKE -> OPEN -> CLOSING (close_notify sent, waits for the peer to hang up) -> CLOSED
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import ssl
import sys
from collections.abc import Callable
from typing import Any, cast

from transport.tls_engine import RECORD_BYTES, Engine, ServerContext, TlsError
from transport.tls_records import RecordCounter
from transport.tls_transport import TlsTransport

__all__ = ["HANDSHAKE_SECONDS", "Phase", "TlsProtocol"]

HANDSHAKE_SECONDS = 20.0
"""A peer that has not finished its handshake by then is cut off."""
HANDSHAKE_BYTES = 64 * 1024
"""What a peer may send before its handshake is complete: a chain of ten certificates takes about 15 KiB."""
DELIVERY_BYTES = 64 * 1024
"""Plaintext gathered for one `data_received` of the inner protocol."""
LINGER_SECONDS = 3.0
"""How long a closed connection waits for the peer to hang up, so that a reset cannot overtake the last bytes sent."""

_ANY = sys.maxsize
"""Records that may wait behind the handshake: nobody counted which of them it took."""

logger = logging.getLogger(__name__)


class Phase(enum.IntEnum):
    """Where a connection stands; it only ever moves up."""

    HANDSHAKE = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class TlsProtocol(asyncio.Protocol):
    """The layer itself: the outer transport's protocol, and what stands behind the inner protocol's TlsTransport."""

    __slots__ = (
        "_context",
        "_engine",
        "_eof",
        "_eof_told",
        "_error",
        "_held",
        "_inner_factory",
        "_loop",
        "_opened",
        "_ready",
        "_received",
        "_records",
        "_timeout",
        "_timer",
        "_unread",
        "inner",
        "inner_transport",
        "outer",
        "paused",
        "phase",
    )

    inner: asyncio.Protocol
    inner_transport: TlsTransport
    outer: asyncio.Transport
    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        engine: Engine,
        inner_factory: Callable[[], asyncio.Protocol],
        context: ServerContext | ssl.SSLContext,
        timeout: float,
        ready: asyncio.Future[None] | None = None,
    ) -> None:
        self._engine = engine
        self._inner_factory = inner_factory
        self._context = context
        self._timeout = timeout
        self._ready = ready
        self._timer: asyncio.TimerHandle | None = None
        self._error: TlsError | None = None
        self._held = b""
        self._received = 0
        self._records = RecordCounter()
        # Whole records that the engine has and that were not read.
        self._unread = 0
        self._opened = False
        self._eof = False
        self._eof_told = False
        self.paused = False
        self.phase = Phase.HANDSHAKE

    # Called by the outer transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.outer = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._timeout, self._fail, TlsError("the TLS handshake took too long"))
        # A client speaks first; for a server this finds nothing to do yet.
        self._guarded(self._handshake, b"")

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.OPEN:
            self._guarded(self._process, data)
        elif self.phase is Phase.HANDSHAKE:
            self._guarded(self._handshake, data)

    def eof_received(self) -> bool:
        if self.phase is Phase.CLOSING:
            self.outer.close()
        elif self.phase is Phase.HANDSHAKE:
            self._eof = True
            self._fail(TlsError("the peer hung up during the TLS handshake"))
        else:
            self._eof = True
            if not self.paused and not self._held:
                self._tell_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.CLOSED
        self._cancel_timer()
        self._held = b""
        error = self._error or exc
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error or TlsError("the peer hung up during the TLS handshake"))
        if self._opened:
            self.inner.connection_lost(error)

    def pause_writing(self) -> None:
        if self._opened:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        if self._opened:
            self.inner.resume_writing()

    # Called by the inner protocol, through its TlsTransport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.phase is Phase.OPEN and data:
            self._guarded(self._seal, data)

    def close(self) -> None:
        if self.phase is Phase.OPEN:
            self._engine.shutdown()
            self._hang_up()

    def abort(self) -> None:
        if self.phase < Phase.CLOSED:
            self.phase = Phase.CLOSING
            self.outer.abort()

    def pause_reading(self) -> None:
        if self.phase is Phase.OPEN and not self.paused:
            self.paused = True
            self.outer.pause_reading()

    def resume_reading(self) -> None:
        if self.phase is Phase.OPEN and self.paused:
            self.paused = False
            self.outer.resume_reading()
            self._loop.call_soon(self._catch_up)

    def set_inner(self, protocol: asyncio.BaseProtocol) -> None:
        self.inner = cast(asyncio.Protocol, protocol)

    def extra_info(self, name: str, default: Any) -> Any:
        """Facts of the connection; `ssl_object` is always None: a server has none of the standard library's."""
        match name:
            case "peercert_der":
                return self._engine.peer_certificate_der()
            case "peercert_chain_der":
                return self._engine.peer_chain_der()
            case "ssl_object":
                return None
            case "sslcontext":
                return self._context
            case "alpn":
                return self._engine.alpn()
            case "tls_version":
                return self._engine.version()
        return self.outer.get_extra_info(name, default)

    @property
    def is_closing(self) -> bool:
        return self.phase >= Phase.CLOSING

    # The work.

    def _guarded(self, work: Callable[[Any], None], data: bytes | bytearray | memoryview) -> None:
        try:
            work(data)
        except TlsError as error:
            self._fail(error)

    def _handshake(self, data: bytes) -> None:
        """Feed the engine a record at a time until it is content; what comes behind the handshake is data already."""
        rest = memoryview(data)
        while True:
            self._received += len(rest[:RECORD_BYTES])
            if self._received > HANDSHAKE_BYTES:
                raise TlsError(f"more than {HANDSHAKE_BYTES} bytes before the end of the TLS handshake")
            if rest:
                self._feed(rest[:RECORD_BYTES])
                rest = rest[RECORD_BYTES:]
            complete = self._engine.handshake()
            self._flush()
            if complete:
                self._open(bytes(rest))
            if complete or not rest:
                return

    def _open(self, data: bytes) -> None:
        self._cancel_timer()
        self.phase = Phase.OPEN
        self._opened = True
        self._unread = _ANY
        self.inner = self._inner_factory()
        self.inner_transport = TlsTransport(self)
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        self.inner.connection_made(self.inner_transport)
        self._process(data)

    def _process(self, data: bytes) -> None:
        """Open ciphertext a record at a time and hand on the plaintext; keep the rest when the inner side pauses."""
        rest = memoryview(self._held + data if self._held else data)
        self._held = b""
        try:
            while self.phase is Phase.OPEN and not self.paused and not self._eof_told:
                rest = self._deliver(rest)
                if self._eof:
                    self._tell_eof()
                elif not rest:
                    break
        finally:
            if self.phase is Phase.OPEN and not self._eof_told:
                self._held = bytes(rest)

    def _deliver(self, ciphertext: memoryview) -> memoryview:
        """One `data_received` of at most about DELIVERY_BYTES; returns the ciphertext that is left."""
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                while self._unread:
                    piece = self._engine.read()
                    if piece is None:
                        self._unread = 0
                        # A record without data, which the engine may answer.
                        self._flush()
                        break
                    if not piece:
                        self._eof = True
                        return ciphertext
                    self._unread -= 1
                    pieces.append(piece)
                    size += len(piece)
                if size >= DELIVERY_BYTES or not ciphertext:
                    return ciphertext
                self._feed(ciphertext[:RECORD_BYTES])
                ciphertext = ciphertext[RECORD_BYTES:]
        finally:
            if pieces:
                self.inner.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _feed(self, ciphertext: memoryview) -> None:
        self._unread = self._records.ended_in(ciphertext)
        self._engine.feed(ciphertext)

    def _catch_up(self) -> None:
        if self.phase is Phase.OPEN and not self.paused:
            self._guarded(self._process, b"")
            if self._eof and not self.paused:
                self._tell_eof()

    def _seal(self, data: bytes | bytearray | memoryview) -> None:
        if len(data) <= RECORD_BYTES:
            self._engine.write(memoryview(data))
            self.outer.write(self._engine.pending())
            return
        plaintext = memoryview(data).cast("B")
        sealed = []
        for start in range(0, len(plaintext), RECORD_BYTES):
            self._engine.write(plaintext[start : start + RECORD_BYTES])
            sealed.append(self._engine.pending())
        # Not writelines: asyncio's (3.12.0 to 3.13.1) never tells the protocol to pause.
        self.outer.write(b"".join(sealed))

    def _tell_eof(self) -> None:
        if self._eof_told or self.phase is not Phase.OPEN:
            return
        self._eof_told = True
        if not self.inner.eof_received():
            self.close()

    def _fail(self, error: TlsError) -> None:
        if self.phase >= Phase.CLOSING:
            return
        logger.debug("TLS with %s ended: %s", self.outer.get_extra_info("peername"), error)
        self._error = error
        self._hang_up()

    def _hang_up(self) -> None:
        """Send what is left, an alert at least, and wait a moment for the peer to hang up too."""
        self._flush()
        self.phase = Phase.CLOSING
        self._held = b""
        self._cancel_timer()
        if self._eof or self.outer.is_closing():
            self.outer.close()
            return
        if self.paused:
            self.paused = False
            self.outer.resume_reading()
        with contextlib.suppress(OSError):
            self.outer.write_eof()
        self._await_peer(None)

    def _await_peer(self, unsent_before: int | None) -> None:
        """Give up LINGER_SECONDS after the last byte left, or when the peer takes none for as long."""
        unsent = self.outer.get_write_buffer_size()
        if unsent_before is not None and (unsent == 0 or unsent == unsent_before):
            self.outer.abort()
        else:
            self._timer = self._loop.call_later(LINGER_SECONDS, self._await_peer, unsent)

    def _flush(self) -> None:
        if sealed := self._engine.pending():
            self.outer.write(sealed)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
