"""Cuts a text into sentences."""

from __future__ import annotations

import re

__all__ = ["split"]

_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|\n\s*\n|\n")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|no|inc|ltd|approx|[a-z])\.)$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]|[^\x00-\x7f]")


def split(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, without the white space around it, in order; one for a text without any end.

    A piece without a word ("!!", " . . .") belongs to the sentence before it.
    """
    pieces: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if match.group() == "." and _ABBREVIATION.search(text[max(start, match.end() - 8) : match.end()]):
            continue
        start = _add(pieces, text, start, match.end())
    _add(pieces, text, start, len(text))
    return pieces or [_trimmed(text, 0, len(text))]


def _add(pieces: list[tuple[int, int]], text: str, start: int, end: int) -> int:
    """Append text[start:end], or let the piece before it grow; the start of what comes next."""
    first, last = _trimmed(text, start, end)
    if first == last:
        return end
    if _WORD.search(text, first, last):
        pieces.append((first, last))
    elif pieces:
        pieces[-1] = (pieces[-1][0], last)
    else:
        return start
    return end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
