"""How pleasant the words of a text are by a list of words, emoticons and emoji, in their context.

The list is vaderSentiment's (MIT); the rules are our own, in the spirit of the paper on it (Hutto and Gilbert, 2014):
a negation turns a word round, "very" and capitals strengthen it, "slightly" weakens it, what follows "but" counts more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from modules.sentiment_container.tokens import BREAKS, NEGATORS, listed

__all__ = ["MEASURES", "Lexicon"]

MEASURES = 7
"""Numbers that `measures` gives."""
STRONGER = listed(
    "very really so extremely absolutely totally incredibly truly especially particularly most too completely highly "
    "deeply utterly super damn thoroughly remarkably insanely"
)
WEAKER = listed("slightly somewhat kinda sorta fairly almost partly marginally occasionally less mildly")
STRENGTHENED, WEAKENED, SHOUTED = 1.2, 0.75, 1.25
TURNED = -0.74  # "not good" is bad, but less so than "bad"
REACH = 3  # words before one that change it
BEFORE_BUT, AFTER_BUT = 0.5, 1.5
HALF_SURE = 15.0  # of the squared sum in `compound`, as in the paper
_INFORMAL = re.compile(r"[@#]\w|https?:|[!?]{2}|\b(?:lol|omg|lmao|ppl|u|ur|haha\w*|pls|thx|wtf|btw)\b", re.IGNORECASE)


class Lexicon:
    """Valences (-4 to 4) of words and of symbols; `load` reads the committed file."""

    def __init__(self, words: Mapping[str, float], symbols: Mapping[str, float]) -> None:
        self.words = words
        self.symbols = symbols

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """From lines `entry TAB valence`; entries of letters are words, lines with # in front are remarks."""
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines if "\t" in line and not line.startswith("# ")]
        values = {entry: float(valence) for entry, valence in rows}
        words = {entry: valence for entry, valence in values.items() if entry[0].isalpha()}
        return cls(words, {entry: valence for entry, valence in values.items() if entry not in words})

    def measures(self, text: str, words: Sequence[str], lowered: Sequence[str]) -> tuple[float, ...]:
        """Sums and balances of the valences found, MEASURES numbers; all 0 for a text without any."""
        valences = self._of_words(words, lowered)
        symbols = self._of_symbols(text)
        valences += symbols
        if not valences:
            return (0.0,) * MEASURES
        good = sum(valence for valence in valences if valence > 0)
        bad = -sum(valence for valence in valences if valence < 0)
        total, both = good - bad, good + bad + 1
        compound = total / math.sqrt(total * total + HALF_SURE)
        informal = compound if symbols or _INFORMAL.search(text) else 0.0
        return compound, total / 10, good / 5, bad / 5, good / both, bad / both, informal

    def _of_words(self, words: Sequence[str], lowered: Sequence[str]) -> list[float]:
        known = [(place, value) for place, word in enumerate(lowered) if (value := self.words.get(word)) is not None]
        if not known:
            return []
        shouting = _shouts(words)
        last_but = max((place for place, word in enumerate(lowered) if word == "but"), default=-1)
        found = []
        for place, value in known:
            value *= _context(lowered, place)
            if shouting and len(words[place]) > 1 and words[place].isupper():
                value *= SHOUTED
            if last_but > 0:
                value *= BEFORE_BUT if place < last_but else AFTER_BUT
            found.append(value)
        return found

    def _of_symbols(self, text: str) -> list[float]:
        found = [value for piece in text.split() if (value := self.symbols.get(piece)) is not None]
        if not text.isascii():
            found += [value for character in text if (value := self.symbols.get(character)) is not None]
        return found


def _shouts(words: Sequence[str]) -> bool:
    """Some words are in capitals and others are not."""
    letters = [word for word in words if len(word) > 1 and word.isalpha()]
    loud = sum(1 for word in letters if word.isupper())
    return 0 < loud < len(letters)


def _context(lowered: Sequence[str], place: int) -> float:
    """What the words before make of a valence."""
    factor = 1.0
    for before in range(place - 1, max(-1, place - 1 - REACH), -1):
        word = lowered[before]
        if word in BREAKS:
            break
        if word in STRONGER:
            factor *= STRENGTHENED
        elif word in WEAKER:
            factor *= WEAKENED
        elif word in NEGATORS:
            return factor * TURNED
    return factor
