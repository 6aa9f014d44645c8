"""WebSocket on the HTTPS port: which protocol a client gets, and the stream between its frames and that protocol.

A protocol that runs over plain connections runs here unchanged: it is given a transport whose writes leave as binary
frames, and the bytes of the client's frames as they come. To open another one (AMQP), hand its protocol factory to
``HttpFront`` under its subprotocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from iot_core.errors import RemoteProtocolError
from iot_core.hub_errors import hub_error
from iot_core.websocket import (
    Close,
    Data,
    FrameDecoder,
    Ping,
    Upgrade,
    close_frame,
    data_frame,
    pong_frame,
)
from local_hub.fronts import refusals
from local_hub.fronts.rest.routes import segments_of

__all__ = ["AMQP", "MQTT", "ProtocolFactories", "Service", "WebSocketProtocol", "choose", "is_websocket_path"]

ProtocolFactories: TypeAlias = Mapping[str, Callable[[], asyncio.Protocol]]
"""Subprotocol → what makes the protocol of one connection."""

MQTT = "mqtt"
AMQP = "AMQPWSB10"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a subprotocol is called and where clients ask for it; paths as segments in lower case."""

    feature: str
    paths: frozenset[tuple[str, ...]]


_IOT_HUB, _SERVICE_BUS = ("$iothub", "websocket"), ("$servicebus", "websocket")
_SERVICES = {
    MQTT: Service(feature="MQTT over WebSocket", paths=frozenset({_IOT_HUB})),
    AMQP: Service(feature="AMQP over WebSocket", paths=frozenset({_IOT_HUB, _SERVICE_BUS})),
}
"""The subprotocols of the service (IoT Hub documentation, "Choose a device communication protocol")."""


def is_websocket_path(target: str) -> bool:
    """Whether the service has WebSockets at this path; letters in any case, a query does not count."""
    return any(_path(target) in service.paths for service in _SERVICES.values())


def choose(upgrade: Upgrade, factories: ProtocolFactories) -> tuple[str, Callable[[], asyncio.Protocol]]:
    """The client's first subprotocol that is spoken at its path, in its own spelling, and what makes the protocol.

    HubError ArgumentInvalid when the service would not speak any of them there, NotImplemented when this hub does not.
    """
    missing = None
    for offered in upgrade.subprotocols:
        name = next((name for name in _SERVICES if name.lower() == offered.lower()), None)
        if name is None or _path(upgrade.target) not in _SERVICES[name].paths:
            continue
        if name in factories:
            return offered, factories[name]
        missing = missing or refusals.not_built(_SERVICES[name].feature)
    raise missing or hub_error(
        "ArgumentInvalid", f"Sec-WebSocket-Protocol must offer {MQTT} or {AMQP}, whichever this path speaks."
    )


class WebSocketProtocol(asyncio.Protocol):
    """Frames outside, ``inner`` inside; begins after the handshake. Ends the connection for what RFC 6455 forbids."""

    __slots__ = ("_closing", "_decoder", "inner", "outer")

    outer: asyncio.Transport

    def __init__(self, inner: asyncio.Protocol) -> None:
        self.inner = inner
        self._decoder = FrameDecoder()
        self._closing = False

    # Called by the outer transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.outer = cast(asyncio.Transport, transport)
        self.inner.connection_made(_WebSocketTransport(self))

    def data_received(self, data: bytes) -> None:
        pieces: list[bytes] = []
        code: int | None = None
        try:
            for event in self._decoder.feed(data):
                if isinstance(event, Data):
                    pieces.append(event.payload)
                elif isinstance(event, Ping):
                    self.outer.write(pong_frame(event.payload))
                elif isinstance(event, Close):
                    code = 1000
        except RemoteProtocolError as error:
            _log.info("WebSocket of %s ended: %s", self.outer.get_extra_info("peername"), error)
            code = error.answer
        if pieces and not self._closing:
            self.inner.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if code is not None:
            self.close(code)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    # Called by the inner protocol, through its transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing:
            self.outer.write(data_frame(data))

    def close(self, code: int = 1000) -> None:
        if not self._closing:
            self._closing = True
            self.outer.write(close_frame(code))
            self.outer.close()

    @property
    def is_closing(self) -> bool:
        return self._closing or self.outer.is_closing()


class _WebSocketTransport(asyncio.Transport):
    """What the inner protocol writes to; every write is one binary frame."""

    __slots__ = ("_layer",)

    def __init__(self, layer: WebSocketProtocol) -> None:
        super().__init__()
        self._layer = layer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._layer.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self._layer.write(b"".join(list_of_data))

    def close(self) -> None:
        self._layer.close()

    def abort(self) -> None:
        self._layer.outer.abort()

    def is_closing(self) -> bool:
        return self._layer.is_closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._layer.outer.pause_reading()

    def resume_reading(self) -> None:
        self._layer.outer.resume_reading()

    def is_reading(self) -> bool:
        return self._layer.outer.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._layer.outer.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._layer.outer.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._layer.outer.get_write_buffer_limits()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._layer.inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._layer.inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._layer.outer.get_extra_info(name, default)


def _path(target: str) -> tuple[str, ...]:
    return tuple(segment.lower() for segment in segments_of(target))
