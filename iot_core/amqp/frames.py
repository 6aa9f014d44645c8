"""Protocol headers and frames (OASIS AMQP 1.0 part 2, sections 2.2 and 2.3), bounded before they are buffered."""

from __future__ import annotations

import enum
from struct import Struct
from typing import Any, NamedTuple

from iot_core.amqp.encoder import encode_with, write
from iot_core.amqp.errors import FRAMING_ERROR, AmqpViolation

__all__ = [
    "AMQP_FRAME",
    "EMPTY_FRAME",
    "MIN_MAX_FRAME_SIZE",
    "SASL_FRAME",
    "Frame",
    "Framer",
    "Protocol",
    "encode_frame",
]

MIN_MAX_FRAME_SIZE = 512
"""Bytes that every peer must be able to take in one frame; also the most before open says more (section 2.3.1)."""
AMQP_FRAME, SASL_FRAME = 0, 1
"""Types of frames."""
HEADER_BYTES = 8
"""Length of a protocol header, and of a frame's header."""
EMPTY_FRAME = bytes((0, 0, 0, 8, 2, AMQP_FRAME, 0, 0))
"""Keeps a connection alive (section 2.4.5)."""
_HEAD = Struct(">IBBH")


class Protocol(enum.Enum):
    """The protocol headers of version 1.0.0 (sections 2.2 and 5.3.1)."""

    AMQP = b"AMQP\x00\x01\x00\x00"
    SASL = b"AMQP\x03\x01\x00\x00"


class Frame(NamedTuple):
    """One frame; an empty body only keeps the connection alive."""

    kind: int
    channel: int
    body: bytes


class Framer:
    """Cuts what arrives into protocol headers and frames, when asked for the one or the other.

    Frames longer than `max_frame_size` are refused at their first four bytes.
    """

    __slots__ = ("_data", "_needed", "_position", "_rest", "max_frame_size")

    def __init__(self, max_frame_size: int) -> None:
        self.max_frame_size = max_frame_size
        self._data = b""
        self._position = 0
        # What began a frame in earlier reads, and how long it has to get before another look is worth it.
        self._rest = bytearray()
        self._needed = HEADER_BYTES

    @property
    def buffered(self) -> int:
        """Bytes that are held."""
        return len(self._rest) + len(self._data) - self._position

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._position < len(self._data):
            self._data = self._data[self._position :] + data
        elif not self._rest:
            self._data = data
        else:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            self._data = bytes(self._rest)
            self._rest.clear()
        self._position = 0

    def header(self) -> bytes | None:
        """The next protocol header, once its eight bytes are there."""
        raw = self._data[self._position : self._position + HEADER_BYTES]
        if len(raw) < HEADER_BYTES:
            self._keep(HEADER_BYTES)
            return None
        self._position += HEADER_BYTES
        return raw

    def frame(self) -> Frame | None:
        """The next frame, once it is complete. Raises AmqpViolation."""
        data, start = self._data, self._position
        if len(data) - start < HEADER_BYTES:
            self._keep(HEADER_BYTES)
            return None
        size, offset, kind, channel = _HEAD.unpack_from(data, start)
        if size > self.max_frame_size:
            raise _violation(f"a frame of {size} bytes is longer than the {self.max_frame_size} allowed")
        if not 2 <= offset <= size >> 2:
            raise _violation(f"a frame of {size} bytes has its body at byte {4 * offset}")
        end = start + size
        if end > len(data):
            self._keep(size)
            return None
        self._position = end
        return Frame(kind, channel, data[start + 4 * offset : end])

    def _keep(self, needed: int) -> None:
        if self._position < len(self._data):
            self._rest += self._data[self._position :]
        self._needed = needed
        self._data, self._position = b"", 0


def encode_frame(performative: Any, *, channel: int = 0, payload: bytes = b"", kind: int = AMQP_FRAME) -> bytes:
    """A frame with a performative and what follows it. Raises LocalProtocolError for values that do not fit."""
    body = encode_with(write, performative)
    return _HEAD.pack(HEADER_BYTES + len(body) + len(payload), 2, kind, channel) + body + payload


def _violation(message: str) -> AmqpViolation:
    return AmqpViolation(message, condition=FRAMING_ERROR)
