"""Exact sums of doubles, so that a result does not depend on the order in which messages came.

Every finite double is a whole multiple of 2**-1074; a sum is kept as that multiple, in a whole number of any size, and
rounded once when it is read. So are sums of squares, as multiples of 2**-2148.
"""

from __future__ import annotations

import math

__all__ = ["from_text", "ratio", "root_of_ratio", "square", "to_text", "units"]

SCALE_BITS = 1074  # The smallest double is 2**-1074.


def units(value: int | float) -> int:
    """A number as a multiple of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (SCALE_BITS + 1 - denominator.bit_length())


def square(value: int | float) -> int:
    """The square of a number as a multiple of 2**-2148."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * numerator << 2 * (SCALE_BITS + 1 - denominator.bit_length())


def ratio(total: int, count: int = 1) -> float | None:
    """A sum in units divided by a whole number, rounded once; None where it is beyond the range of doubles."""
    return _divided(total, count << SCALE_BITS)


def root_of_ratio(total: int, count: int) -> float | None:
    """The square root of a sum of squares divided by a whole number; None beyond the range of doubles."""
    divided = _divided(total, count << 2 * SCALE_BITS)
    return None if divided is None else math.sqrt(divided)


def to_text(total: int) -> str:
    """A sum in few characters; `from_text` reads it."""
    zeros = (total & -total).bit_length() - 1 if total else 0
    return f"{total >> zeros:x}:{zeros}"


def from_text(text: str) -> int:
    """What `to_text` wrote."""
    digits, _, zeros = text.partition(":")
    return int(digits, 16) << int(zeros)


def _divided(numerator: int, denominator: int) -> float | None:
    try:
        return numerator / denominator
    except OverflowError:
        return None
