"""The CRC-64 that Azure Storage checks contents by: NVMe's polynomial, reflected; 8 bytes, the low one first."""

from __future__ import annotations

__all__ = ["CRC64_BYTES", "Crc64"]

CRC64_BYTES = 8

_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_ONES = 0xFFFFFFFFFFFFFFFF


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


class Crc64:
    """Feed it with ``update``, as the objects of hashlib."""

    def __init__(self) -> None:
        self._state = _ONES

    def update(self, data: bytes) -> None:
        """Go on with more of the content."""
        state, table = self._state, _TABLE
        for byte in data:
            state = table[(state ^ byte) & 0xFF] ^ state >> 8
        self._state = state

    def digest(self) -> bytes:
        """The checksum of what came so far, as it is sent (before base64)."""
        return (self._state ^ _ONES).to_bytes(CRC64_BYTES, "little")
