"""The transport that a protocol inside TLS writes to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transport.tls_layer import TlsProtocol

__all__ = ["TlsTransport"]


class TlsTransport(asyncio.Transport):
    """What the inner protocol writes to. After `close`, writes are dropped in silence, as asyncio's transports do."""

    __slots__ = ("_layer",)

    def __init__(self, layer: TlsProtocol) -> None:
        super().__init__()
        self._layer = layer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._layer.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self._layer.write(b"".join(list_of_data))

    def close(self) -> None:
        self._layer.close()

    def abort(self) -> None:
        self._layer.abort()

    def is_closing(self) -> bool:
        return self._layer.is_closing

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError("TLS connections are closed as a whole")

    def pause_reading(self) -> None:
        self._layer.pause_reading()

    def resume_reading(self) -> None:
        self._layer.resume_reading()

    def is_reading(self) -> bool:
        return not self._layer.paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._layer.outer.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._layer.outer.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._layer.outer.get_write_buffer_limits()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._layer.set_inner(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._layer.inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._layer.extra_info(name, default)

    @property
    def _sendfile_compatible(self) -> Any:
        # loop.sendfile asks for this name; NotImplementedError is what makes aiohttp copy a file by hand instead.
        raise NotImplementedError("files are sent through write")
