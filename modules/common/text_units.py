"""How long a text is and where its parts begin, in the three units that Text Analytics v3.1 offers.

Source: "Multilingual and emoji support in Language service features" (text elements, offsets) and the parameter
stringIndexType of the REST API.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

__all__ = ["DEFAULT_UNIT", "UNITS", "count_elements", "positions"]

DEFAULT_UNIT = "TextElements_v8"
UNITS = (DEFAULT_UNIT, "UnicodeCodePoint", "Utf16CodeUnit")

_MARK = "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u093a-\u094f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\
\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_PICTURE = "\u2190-\u2bff\U0001f000-\U0001faff"
_ELEMENT = re.compile(
    f"\r\n|[\U0001f1e6-\U0001f1ff]{{2}}[{_MARK}]*|(?s:.)[{_MARK}]*(?:(?<=\u200d)[{_PICTURE}][{_MARK}]*)*"
)
"""What a reader sees as one character: a letter with its marks, a flag, emoji joined by U+200D, a line end."""


def count_elements(text: str) -> int:
    """Text elements of a text, the unit of its length limit."""
    if text.isascii() and "\r" not in text:
        return len(text)
    return sum(1 for _ in _ELEMENT.finditer(text))


def positions(text: str, unit: str) -> Callable[[int], int]:
    """A function that turns an index of Python (code points) into one of `unit`; for indices that begin a part."""
    if unit == "UnicodeCodePoint" or (text.isascii() and "\r" not in text):
        return lambda index: index
    if unit == "Utf16CodeUnit":
        table: Sequence[int] = [0, *accumulate(2 if ord(character) > 0xFFFF else 1 for character in text)]
        return lambda index: table[index]
    starts = [match.start() for match in _ELEMENT.finditer(text)]
    return lambda index: bisect_left(starts, index)
