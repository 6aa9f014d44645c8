"""A memory of contexts: how familiar is what comes next, after what came before?

After the Contextual Anomaly Detector of the Numenta Anomaly Benchmark's leaderboard (CAD OSE), from its published idea:

- A value is a level, a small number; its facts are its binary digits.
- A context says "after these facts (its left half), those facts (its right half)". It is selected when all of its left
  half held a step ago, and recognised when all of its right half holds now.
- Left halves see more than the last value: each context that was recognised a step ago is a fact itself, so chains of
  contexts reach back as far as the series repeats itself.
- What came now after all that held before becomes a context. While that is news, the parts that it shares with contexts
  recognised earlier become contexts of their own, which is how it generalises.
- A step is unfamiliar when selected contexts are not recognised, and when much of what it could add is new.
"""

from __future__ import annotations

from array import array
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "ContextMemory"]

Facts: TypeAlias = frozenset[int]
Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

DIGITS: Final = 3  # binary digits of a level, as published: finer levels never come twice, coarser hide what happens
LEVELS: Final = 2**DIGITS
MOST_NEURONS = 15  # recognised contexts that are facts of the next step, the most often recognised ones; as published
LONGEST_PART = 7  # facts in a left half that is made of what two situations share; as published
MOST_CONTEXTS = 1_000
FIRST_NEURON = 2 * DIGITS  # facts below are digits, from here on contexts

_PATTERNS = list(product((0, 1, None), repeat=DIGITS))
"""Right halves: what each digit must be, None where it does not matter."""


def _shared(pattern: tuple[int | None, ...], level: int) -> int:
    """The number of the pattern that keeps of `pattern` what `level` fulfils."""
    kept = tuple(digit if digit == (level >> place) & 1 else None for place, digit in enumerate(pattern))
    return _PATTERNS.index(kept)


_SHARED: Final = np.array([[_shared(pattern, level) for pattern in _PATTERNS] for level in range(LEVELS)])
_NOTHING: Final = _PATTERNS.index((None,) * DIGITS)
_WHOLE: Final = [_PATTERNS.index(tuple((level >> place) & 1 for place in range(DIGITS))) for level in range(LEVELS)]
_FULFILLED: Final = np.arange(len(_PATTERNS)) == _SHARED
_TOUCHED: Final = _SHARED != _NOTHING
_DIGITS: Final = [frozenset(2 * place + ((level >> place) & 1) for place in range(DIGITS)) for level in range(LEVELS)]


class ContextMemory:
    """Contexts of one series. Not for use from several threads."""

    def __init__(self) -> None:
        self._lefts = _LeftHalves()
        self._table = _Table()
        self._known: set[tuple[int, int]] = set()
        self._situation: tuple[int, ...] = ()
        self._overlaps: Integers = np.zeros(0, dtype=np.int64)
        """Of each left half, the facts that hold now: bit n is fact n of the situation."""
        self._step = 0

    def __len__(self) -> int:
        """The number of contexts."""
        return self._table.count

    def take(self, level: int) -> float:
        """How unfamiliar `level` is after the levels before it, 0 to 1; it is remembered."""
        self._step += 1
        table, before = self._table, self._table.count
        novel = bool(self._situation) and self._learn(self._lefts.number(frozenset(self._situation)), _WHOLE[level])
        lefts, rights = table.left[:before], table.right[:before]
        held = np.bitwise_count(self._overlaps)
        complete = held == self._lefts.sizes[: held.size]
        selected = complete[lefts]
        recognised = np.flatnonzero(selected & _FULFILLED[level][rights])
        table.uses[recognised] += 1
        table.last[recognised] = self._step
        surprise = 1.0 - (recognised.size / total if (total := int(np.count_nonzero(selected))) else 0.0)
        news = self._generalise(level, before, complete, held) if novel else 0.0
        self._look(level, recognised)
        return (surprise + news) / 2

    def _generalise(self, level: int, count: int, complete: Flags, held: npt.NDArray[Any]) -> float:
        """Learn what this step shares with contexts recognised before; the share of it that was unknown."""
        lefts, rights, uses = (column[:count] for column in (self._table.left, self._table.right, self._table.uses))
        partly = (~complete & (held > 0) & (held <= LONGEST_PART))[lefts]
        fit = (uses > 0) & _TOUCHED[level][rights] & (partly | (complete[lefts] & ~_FULFILLED[level][rights]))
        parts = set((self._overlaps[lefts[fit]] * len(_PATTERNS) + _SHARED[level][rights[fit]]).tolist())
        whole = (1 << len(self._situation)) - 1
        numbers = dict(zip(self._overlaps[complete].tolist(), np.flatnonzero(complete).tolist(), strict=True))
        learnt = 1  # the whole situation
        for part in parts:
            overlap, right = divmod(part, len(_PATTERNS))
            number = numbers.get(overlap)
            learnt += self._learn(self._lefts.number(self._facts(overlap)) if number is None else number, right)
        return learnt / len(parts | {whole * len(_PATTERNS) + _WHOLE[level]})

    def _facts(self, overlap: int) -> Facts:
        return frozenset(fact for place, fact in enumerate(self._situation) if overlap >> place & 1)

    def _look(self, level: int, recognised: Integers) -> None:
        """What holds now is what the next step finds before it."""
        names, uses = self._table.names[recognised], self._table.uses[recognised]
        neurons = names[np.lexsort((names, uses))[-MOST_NEURONS:]] + FIRST_NEURON
        self._situation = (*_DIGITS[level], *neurons.tolist())
        if self._table.count > MOST_CONTEXTS:
            self._forget()
        self._overlaps = self._lefts.overlaps(self._situation)

    def _forget(self) -> None:
        """Keep the half of the contexts that was learnt or recognised last, and the left halves that these need."""
        self._table.keep_newest(MOST_CONTEXTS // 2)
        count = self._table.count
        used, numbers = np.unique(self._table.left[:count], return_inverse=True)
        facts = [self._lefts.facts[number] for number in used.tolist()]
        self._lefts = _LeftHalves()
        for each in facts:
            self._lefts.number(each)
        self._table.left[:count] = numbers
        self._known = set(zip(numbers.tolist(), self._table.right[:count].tolist(), strict=True))

    def _learn(self, left: int, right: int) -> bool:
        """Whether this context was new."""
        if (left, right) in self._known:
            return False
        self._known.add((left, right))
        self._table.add(left, right, self._step)
        return True


class _LeftHalves:
    """Sets of facts by number, and the numbers by fact."""

    def __init__(self) -> None:
        self.facts: list[Facts] = []
        self.sizes: Integers = np.zeros(64, dtype=np.int64)
        self._numbers: dict[Facts, int] = {}
        self._having: dict[int, array[int]] = {}

    def number(self, facts: Facts) -> int:
        """The number of the left half with these facts, made if it is not there."""
        found = self._numbers.get(facts)
        if found is not None:
            return found
        number = self._numbers[facts] = len(self.facts)
        self.facts.append(facts)
        if number == self.sizes.size:
            self.sizes = np.resize(self.sizes, 2 * number)
        self.sizes[number] = len(facts)
        for fact in facts:
            self._having.setdefault(fact, array("q")).append(number)
        return number

    def overlaps(self, situation: tuple[int, ...]) -> Integers:
        """For each left half the bits of the facts of `situation` that it has."""
        having = [self._having.get(fact, _NONE) for fact in situation]
        bits = np.repeat(1 << np.arange(len(having)), [len(numbers) for numbers in having])
        numbers = np.concatenate([np.frombuffer(numbers, dtype=np.int64) for numbers in having if numbers] or [_NOBODY])
        return np.bincount(numbers, weights=bits, minlength=len(self.facts)).astype(np.int64)


_NONE: Final[array[int]] = array("q")
_NOBODY: Final = np.zeros(0, dtype=np.int64)


class _Table:
    """The contexts as columns: number of the left half, right half, times recognised, step last recognised, name."""

    def __init__(self) -> None:
        self.count = 0
        self._given = 0
        self._use(np.zeros((5, 64), dtype=np.int64))

    def _use(self, columns: Integers) -> None:
        self._columns = columns
        self.left, self.right, self.uses, self.last, self.names = columns

    def add(self, left: int, right: int, step: int) -> None:
        if self.count == self._columns.shape[1]:
            self._use(np.concatenate([self._columns, np.zeros_like(self._columns)], axis=1))
        self._columns[:, self.count] = left, right, 0, step, self._given
        self.count += 1
        self._given += 1

    def keep_newest(self, count: int) -> None:
        kept = np.sort(np.argsort(self.last[: self.count], kind="stable")[-count:])
        self._columns[:, :count] = self._columns[:, kept]
        self.count = count
