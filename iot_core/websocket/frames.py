"""Frames of RFC 6455: those of a client read as a stream, those of the server written."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from iot_core.errors import RemoteProtocolError

__all__ = ["Close", "Data", "Event", "FrameDecoder", "Ping", "close_frame", "data_frame", "pong_frame"]

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The longest data frame taken: far beyond any message of IoT Hub, for clients that send a whole backlog in one."""
CONTROL_BYTES = 125
"""The longest payload of a control frame (section 5.5)."""

NORMAL, PROTOCOL_ERROR, UNSUPPORTED_DATA, TOO_BIG = 1000, 1002, 1003, 1009
"""Close codes (section 7.4.1)."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_LENGTH_16, _LENGTH_64 = 126, 127


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A piece of the stream."""

    payload: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Ping:
    """To be answered by a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Close:
    """The client ends the connection; `code` is None when it gave none."""

    code: int | None


Event: TypeAlias = Data | Ping | Close


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """A frame's header: `size` bytes, then `length` bytes of payload under `mask`."""

    opcode: int
    final: bool
    length: int
    mask: bytes
    size: int

    @property
    def is_control(self) -> bool:
        return self.opcode >= _CLOSE


class FrameDecoder:
    """Reads a client's frames. Holds an unfinished header or control frame (139 bytes at most), never data."""

    __slots__ = ("_closed", "_held", "_in_message", "_left", "_mask")

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self._mask = b""
        self._in_message = False
        self._closed = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events in `data`; iterate to the end. Nothing comes after a Close.

        Raises RemoteProtocolError, whose `answer` is the close code to send; then the stream is over.
        """
        rest = memoryview(self._held + data if self._held else data)
        self._held = b""
        while rest and not self._closed:
            if self._left:
                piece, rest = rest[: self._left], rest[self._left :]
                yield Data(payload=self._unmasked(piece))
                continue
            head = self._read_head(rest)
            if head is None or (head.is_control and len(rest) < head.size + head.length):
                self._held = bytes(rest)
                return
            rest = rest[head.size :]
            if head.is_control:
                yield from self._control(head, rest[: head.length])
                rest = rest[head.length :]
            else:
                self._left, self._mask = head.length, head.mask

    def _unmasked(self, piece: memoryview) -> bytes:
        """Takes the mask off a piece of the frame at hand, and turns the mask to where the next piece begins."""
        self._left -= len(piece)
        payload = _unmask(piece, self._mask)
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return payload

    def _control(self, head: _Head, masked: memoryview) -> Iterator[Event]:
        payload = _unmask(masked, head.mask)
        if head.opcode == _PING:
            yield Ping(payload=payload)
        elif head.opcode == _CLOSE:
            self._closed = True
            yield Close(code=int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None)

    def _read_head(self, data: memoryview) -> _Head | None:
        """The header at the start of `data`; None while it is incomplete."""
        try:
            head = _parse_head(data)
            if head is None:
                return None
            self._check(head)
        except RemoteProtocolError:
            self._closed = True
            raise
        if not head.is_control:
            self._in_message = not head.final
        return head

    def _check(self, head: _Head) -> None:
        if head.is_control:
            if head.opcode > _PONG or not head.final or head.length > CONTROL_BYTES:
                raise _broken("a control frame is unknown, in parts or too long")
        elif head.opcode not in (_CONTINUATION, _TEXT, _BINARY):
            raise _broken(f"opcode {head.opcode} is not one of RFC 6455")
        elif head.opcode == _TEXT:
            raise RemoteProtocolError("text came over a WebSocket that carries binary data", answer=UNSUPPORTED_DATA)
        elif (head.opcode == _CONTINUATION) != self._in_message:
            raise _broken("a message begins inside another one, or goes on without a beginning")
        elif head.length > MAX_FRAME_BYTES:
            text = f"a WebSocket frame of {head.length} bytes is too long: {MAX_FRAME_BYTES} are allowed"
            raise RemoteProtocolError(text, answer=TOO_BIG)


def data_frame(payload: bytes | bytearray | memoryview) -> bytes:
    """One binary message in one frame."""
    return _frame(_BINARY, payload)


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping."""
    return _frame(_PONG, payload)


def close_frame(code: int = NORMAL) -> bytes:
    """The end of the connection from our side."""
    return _frame(_CLOSE, code.to_bytes(2, "big"))


def _frame(opcode: int, payload: bytes | bytearray | memoryview) -> bytes:
    length = len(payload)
    if length < _LENGTH_16:
        head = struct.pack(">BB", _FINAL | opcode, length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", _FINAL | opcode, _LENGTH_16, length)
    else:
        head = struct.pack(">BBQ", _FINAL | opcode, _LENGTH_64, length)
    return head + payload


def _parse_head(data: memoryview) -> _Head | None:
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    if first & _RESERVED:
        raise _broken("reserved bits are set without an extension that uses them")
    if not second & _MASKED:
        raise _broken("a client's frame is not masked")
    length = second & _LENGTH
    size = 2 + {_LENGTH_16: 2, _LENGTH_64: 8}.get(length, 0)
    if len(data) < size + 4:
        return None
    if size > 2:
        length = int.from_bytes(data[2:size], "big")
    return _Head(
        opcode=first & _OPCODE,
        final=bool(first & _FINAL),
        length=length,
        mask=bytes(data[size : size + 4]),
        size=size + 4,
    )


def _unmask(masked: memoryview, mask: bytes) -> bytes:
    """The payload: each byte exclusive-or the mask's next one, as one operation on whole numbers."""
    length = len(masked)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def _broken(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(text, answer=PROTOCOL_ERROR)
