"""The body of an upload: streamed to a file, checked on the way, synced before anybody hears of it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from iot_core.storage.crc64 import CRC64_BYTES, Crc64
from iot_core.storage.refusals import refused
from local_hub.blobs.files import NewFile

__all__ = [
    "CRC64_HEADER",
    "PIECE_BYTES",
    "Body",
    "Checksums",
    "Received",
    "body_length",
    "receive",
    "receive_text",
    "wanted_checksums",
]

CRC64_HEADER = "x-ms-content-crc64"
PIECE_BYTES = 256 * 1024
"""How much of a body is in memory at a time."""
PIECE_S = 60.0
"""Seconds that a piece may take: a client slower than 4 KiB a second is cut off."""

_MD5_BYTES = 16


class Body(Protocol):
    """Where a body comes from."""

    async def readexactly(self, n: int) -> bytes:
        """The next ``n`` bytes; asyncio.IncompleteReadError when it ends before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checksums:
    """What the client says its body sums up to; None: it does not say."""

    md5: bytes | None
    crc64: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A body that is on disk, in a file that is sealed."""

    file: str
    size: int
    md5: bytes
    crc64: bytes | None
    """Only when the client sent one."""

    @property
    def headers(self) -> dict[str, str]:
        """What the reply says of it."""
        md5 = {"Content-MD5": base64.b64encode(self.md5).decode()}
        return md5 if self.crc64 is None else {**md5, CRC64_HEADER: base64.b64encode(self.crc64).decode()}


def body_length(headers: Mapping[str, str], most: int) -> int:
    """Content-Length; StorageRefusal MissingContentLengthHeader, RequestBodyTooLarge."""
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        raise refused("MissingContentLengthHeader")
    if len(text) > len(str(most)) or int(text) > most:
        raise refused("RequestBodyTooLarge", MaxLimit=str(most))
    return int(text)


def wanted_checksums(headers: Mapping[str, str]) -> Checksums:
    """Content-MD5 and x-ms-content-crc64; StorageRefusal InvalidMd5, InvalidCrc64."""
    return Checksums(
        md5=_checksum(headers.get("content-md5"), _MD5_BYTES, "InvalidMd5"),
        crc64=_checksum(headers.get(CRC64_HEADER), CRC64_BYTES, "InvalidCrc64"),
    )


async def receive(body: Body, length: int, wanted: Checksums, file: NewFile) -> Received:
    """Move ``length`` bytes into ``file`` and seal it; it is discarded when anything goes wrong.

    StorageRefusal Md5Mismatch, Crc64Mismatch, OperationTimedOut, InvalidInput when the body ends early.
    """
    try:
        sums = _Sums(with_crc64=wanted.crc64 is not None)
        left = length
        while left:
            piece = await _piece(body, min(PIECE_BYTES, left))
            await asyncio.to_thread(_take, piece, sums, file)
            left -= len(piece)
        received = sums.received(file.name, length)
        _compare(received, wanted)
        await asyncio.to_thread(file.seal)
    except BaseException:
        file.discard()
        raise
    return received


async def receive_text(body: Body, length: int, wanted: Checksums) -> bytes:
    """A short body, in memory; StorageRefusal as ``receive``."""
    sums, pieces = _Sums(with_crc64=wanted.crc64 is not None), list[bytes]()
    left = length
    while left:
        pieces.append(await _piece(body, min(PIECE_BYTES, left)))
        sums.update(pieces[-1])
        left -= len(pieces[-1])
    _compare(sums.received("", length), wanted)
    return b"".join(pieces)


class _Sums:
    def __init__(self, *, with_crc64: bool) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc64 = Crc64() if with_crc64 else None

    def update(self, data: bytes) -> None:
        self._md5.update(data)
        if self._crc64 is not None:
            self._crc64.update(data)

    def received(self, file: str, size: int) -> Received:
        crc64 = self._crc64.digest() if self._crc64 is not None else None
        return Received(file=file, size=size, md5=self._md5.digest(), crc64=crc64)


def _take(piece: bytes, sums: _Sums, file: NewFile) -> None:
    sums.update(piece)
    file.write(piece)


async def _piece(body: Body, size: int) -> bytes:
    try:
        async with asyncio.timeout(PIECE_S):
            return await body.readexactly(size)
    except TimeoutError:
        raise refused("OperationTimedOut") from None
    except asyncio.IncompleteReadError:
        raise refused("InvalidInput", "The body is shorter than Content-Length says.") from None


def _compare(received: Received, wanted: Checksums) -> None:
    if wanted.md5 is not None and not hmac.compare_digest(received.md5, wanted.md5):
        raise refused("Md5Mismatch")
    if wanted.crc64 is not None and received.crc64 != wanted.crc64:
        raise refused("Crc64Mismatch")


def _checksum(text: str | None, size: int, code: str) -> bytes | None:
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refused(code) from None
    if len(value) != size:
        raise refused(code)
    return value
