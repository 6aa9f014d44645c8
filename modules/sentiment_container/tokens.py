"""English text → words and features of words, the same for training and for serving."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["BREAKS", "NEGATORS", "features", "listed", "words"]


def listed(text: str) -> frozenset[str]:
    """The words of a list with spaces between."""
    return frozenset(text.split())


_NEGATED = re.compile(r"n['’]t\b", re.IGNORECASE)
_WORD = re.compile(r"n't|'[a-z]+|[^\W_]+|[!?.,;:]", re.IGNORECASE)

NEGATORS = listed(
    "n't not no never neither nor nobody nothing nowhere hardly barely scarcely without cannot cant dont wont isnt "
    "wasnt didnt doesnt aint rarely seldom lacks lacking fails"
)
BREAKS = frozenset(".,;:!?")
PAUSES = frozenset(".,;:")
NEGATED_WORDS = 4  # after a word that negates, until the sentence pauses
PREFIX = 5  # letters that stand for the stem of a longer word


def words(text: str) -> list[str]:
    """The words and marks of a text in its own case; "don't" becomes "do" and "n't"."""
    return _WORD.findall(_NEGATED.sub(" n't", text.replace("’", "'")))


def features(lowered: Sequence[str]) -> set[str]:
    """Of the lower-case words of a text: each word, each pair of neighbours, "~word" where it is negated, and "^begin"
    of longer words. A word that is repeated at once counts as one ("really really", "!!!")."""
    kept = [word for word in lowered if word not in PAUSES]
    kept = [word for position, word in enumerate(kept) if position == 0 or word != kept[position - 1]]
    found = {*kept, *(f"{first} {second}" for first, second in pairwise(kept))}
    found.update("^" + word[:PREFIX] for word in kept if len(word) > PREFIX and word.isalpha())
    found.update(_negated(lowered))
    return found


def _negated(lowered: Sequence[str]) -> list[str]:
    found: list[str] = []
    left = 0
    for word in lowered:
        if word in NEGATORS:
            left = NEGATED_WORDS
        elif word in BREAKS or word == "but":
            left = 0
        elif left:
            left -= 1
            found.append("~" + word)
    return found
