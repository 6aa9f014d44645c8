"""English text → n-grams, the same for training and for serving."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["ngrams"]

_NEGATED = re.compile(r"n['’]t\b")
_TOKEN = re.compile(r"n't|'[a-z]+|[^\W_]+|[!?]")


def ngrams(text: str) -> set[str]:
    """The words and pairs of neighbouring words of `text`, lower-cased; "don't" becomes "do" and "n't".

    Marks of emphasis ("!", "?") are words; a word that is repeated at once counts as one ("really really", "!!!").
    """
    lowered = _NEGATED.sub(" n't", text.lower().replace("’", "'"))
    words = _collapse(_TOKEN.findall(lowered))
    pairs = (f"{first} {second}" for first, second in pairwise(words))
    return {*words, *pairs}


def _collapse(words: list[str]) -> list[str]:
    return [word for position, word in enumerate(words) if position == 0 or word != words[position - 1]]
