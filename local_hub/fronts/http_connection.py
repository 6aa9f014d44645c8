"""One connection of the HTTPS port: its first request decides whether it is HTTP or a WebSocket, and it may not stall.

    FIRST   the request head is on its way, ``HEAD_S`` seconds at most
      ├── a WebSocket upgrade on one of the service's paths -> answered here, then frames (``fronts.websocket``)
      └── anything else -> the HTTP protocol, from the first byte

A client that stops reading its response for ``STALL_S`` seconds is cut off. WebSockets have the limits of the protocol
inside them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from iot_core.errors import HubError, RemoteProtocolError
from iot_core.hub_errors import hub_error
from iot_core.websocket import Upgrade, acceptance, read_upgrade
from local_hub.fronts.envelopes import Envelope, error_body
from local_hub.fronts.websocket import ProtocolFactories, WebSocketProtocol, choose, is_websocket_path

__all__ = ["HEAD_S", "MOST_HEAD_BYTES", "STALL_S", "HttpConnection"]

HEAD_S = 30.0
"""Seconds from the handshake to the end of the first request's head; between requests the keep-alive time counts."""
STALL_S = 60.0
"""Seconds a response may wait for a client that does not read."""
MOST_HEAD_BYTES = 64 * 1024
"""A request head of the SDKs has about 1 KiB, most of it the token."""

_END = b"\r\n\r\n"
_UPGRADES_BEGIN = b"GET "


class HttpConnection(asyncio.Protocol):
    """See the module. ``http`` makes the HTTP protocol, ``now`` gives unix seconds for the bodies of refusals."""

    __slots__ = ("__weakref__", "_head", "_http", "_inner", "_loop", "_now", "_timer", "_transport", "_websockets")

    _loop: asyncio.AbstractEventLoop
    _transport: asyncio.Transport

    def __init__(
        self, http: Callable[[], asyncio.Protocol], websockets: ProtocolFactories, now: Callable[[], float]
    ) -> None:
        self._http = http
        self._websockets = websockets
        self._now = now
        self._inner: asyncio.Protocol | None = None
        # What has come of the first head; afterwards None.
        self._head: bytearray | None = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def end_if_silent(self) -> None:
        """Hang up on a client that has asked for nothing yet; the others are their inner protocol's."""
        if self._inner is None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEAD_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._first(self._head, data)
        elif self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            if self._timer is None and not isinstance(self._inner, WebSocketProtocol):
                self._timer = self._loop.call_later(STALL_S, self._transport.abort)
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            if self._head is None:
                self._cancel_timer()
            self._inner.resume_writing()

    def _first(self, head: bytearray, data: bytes) -> None:
        """Gather the first head. What cannot be an upgrade is handed on as it comes, so that it is answered at once."""
        head += data
        may_upgrade = head[: len(_UPGRADES_BEGIN)] == _UPGRADES_BEGIN[: len(head)]
        if not may_upgrade and self._inner is None:
            self._hand_on(bytes(head))
        elif self._inner is not None:
            self._inner.data_received(data)
        end = head.find(_END)
        if end >= 0:
            self._complete(head, end + len(_END))
        elif len(head) > MOST_HEAD_BYTES:
            self._head = None
            if self._inner is None:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _too_large())
            else:
                self._transport.abort()

    def _complete(self, head: bytearray, end: int) -> None:
        self._cancel_timer()
        self._head = None
        if self._inner is not None:
            return
        try:
            upgrade = read_upgrade(bytes(head[:end]))
            if upgrade is None or not is_websocket_path(upgrade.target):
                self._hand_on(bytes(head))
            else:
                self._upgrade(upgrade, bytes(head[end:]))
        except RemoteProtocolError as error:
            self._refuse(error.answer or HTTPStatus.BAD_REQUEST, hub_error("ArgumentInvalid", str(error)))
        except HubError as error:
            self._refuse(error.status, error)

    def _hand_on(self, data: bytes) -> None:
        self._inner = self._http()
        self._inner.connection_made(self._transport)
        self._inner.data_received(data)

    def _upgrade(self, upgrade: Upgrade, data: bytes) -> None:
        subprotocol, factory = choose(upgrade, self._websockets)
        self._transport.write(acceptance(upgrade, subprotocol))
        self._inner = WebSocketProtocol(factory())
        self._inner.connection_made(self._transport)
        if data:
            self._inner.data_received(data)

    def _refuse(self, status: int, error: HubError) -> None:
        """Answer as the REST API does, and close."""
        self._cancel_timer()
        if not self._transport.is_closing():
            body = error_body(error, Envelope.REGISTRY, self._now())
            self._transport.write(_response(status, error.name, body))
            self._transport.close()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _response(status: int, name: str, body: bytes) -> bytes:
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(body)}",
        f"iothub-errorcode: {name}",
        "Sec-WebSocket-Version: 13",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii") + body


def _too_large() -> HubError:
    return hub_error("ArgumentInvalid", f"The request head is larger than {MOST_HEAD_BYTES} bytes.")
