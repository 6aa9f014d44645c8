"""Where the records of a TLS stream end, so that the engine is read once for each and never in vain.

To read an engine that holds no whole record costs as much as to read one that does: an error is made and thrown away.
"""

from __future__ import annotations

__all__ = ["RecordCounter"]

_HEADER_BYTES = 5
"""Type, version (2), length (2) (RFC 8446, section 5.1)."""
_MAJOR_VERSION = 3
_MOST_SEALED = 16384 + 2048
"""The longest that a record may be, in TLS 1.2 (RFC 5246, section 6.2.3)."""


class RecordCounter:
    """Follows one direction of a connection from its first byte on."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._head = b""

    def ended_in(self, chunk: memoryview) -> int:
        """How many records end in the bytes that come next; a header that cannot be one counts, so that it is read."""
        data = self._head + bytes(chunk) if self._head else chunk
        position, size = self._left, len(data)
        ended = int(0 < position <= size)
        while position + _HEADER_BYTES <= size:
            length = data[position + 3] << 8 | data[position + 4]
            if length > _MOST_SEALED or data[position + 1] != _MAJOR_VERSION:
                return ended + 1
            position += _HEADER_BYTES + length
            if position <= size:
                ended += 1
        self._left = max(position - size, 0)
        self._head = bytes(data[position:])
        return ended
