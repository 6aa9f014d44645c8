"""Numbers that wrap around at 2**32: delivery ids, transfer ids and delivery counts (RFC 1982)."""

from __future__ import annotations

__all__ = ["add", "distance"]

_MASK = 0xFFFFFFFF
_HALF = 0x80000000


def add(number: int, count: int) -> int:
    """The number `count` after this one."""
    return (number + count) & _MASK


def distance(start: int, end: int) -> int:
    """How far `end` is after `start`; negative when it is before."""
    gap = (end - start) & _MASK
    return gap - _MASK - 1 if gap >= _HALF else gap
