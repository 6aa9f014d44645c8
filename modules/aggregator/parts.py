"""What a window remembers of a column of values: each part takes a value at a time, merges, and is written as JSON.

Whatever the order of values and merges, a part ends up the same.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import orjson

from modules.aggregator import exact
from modules.aggregator.sketch import Sketch

__all__ = ["First", "Greatest", "Last", "Least", "Part", "Percentiles", "Squares", "Tally", "Total"]

Json = Any


class Part(Protocol):
    """See the module; times are microseconds."""

    def add(self, value: Any, time: int) -> None:
        """Take one value."""

    def merge(self, other: Any) -> None:
        """Take what another part of the same class took."""

    def dump(self) -> Json:
        """As JSON."""

    def load(self, state: Json) -> None:
        """Become what `dump` wrote."""


class Tally:
    """How many values."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, value: Any, time: int) -> None:
        self.count += 1

    def merge(self, other: Self) -> None:
        self.count += other.count

    def dump(self) -> Json:
        return self.count

    def load(self, state: Json) -> None:
        self.count = state


class Total:
    """The exact sum, in units of modules.aggregator.exact."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    def add(self, value: Any, time: int) -> None:
        self.total += exact.units(value)

    def merge(self, other: Self) -> None:
        self.total += other.total

    def dump(self) -> Json:
        return exact.to_text(self.total)

    def load(self, state: Json) -> None:
        self.total = exact.from_text(state)


class Squares(Total):
    """The exact sum of the squares."""

    __slots__ = ()

    def add(self, value: Any, time: int) -> None:
        self.total += exact.square(value)


class Least:
    """The smallest number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, value: Any, time: int) -> None:
        if self.value is None or value < self.value:
            self.value = value

    def merge(self, other: Self) -> None:
        if other.value is not None:
            self.add(other.value, 0)

    def dump(self) -> Json:
        return self.value

    def load(self, state: Json) -> None:
        self.value = state


class Greatest(Least):
    """The greatest number."""

    __slots__ = ()

    def add(self, value: Any, time: int) -> None:
        if self.value is None or value > self.value:
            self.value = value


class First:
    """The value with the earliest time; of several at that time the one whose JSON text comes first."""

    __slots__ = ("time", "value")

    def __init__(self) -> None:
        self.time: int | None = None
        self.value: Json = None

    def add(self, value: Any, time: int) -> None:
        if self.time is None or self._beats(value, time, self.time):
            self.time, self.value = time, value

    def merge(self, other: Self) -> None:
        if other.time is not None:
            self.add(other.value, other.time)

    def dump(self) -> Json:
        return [self.time, self.value]

    def load(self, state: Json) -> None:
        self.time, self.value = state

    def _beats(self, value: Any, time: int, held: int) -> bool:
        return time < held or (time == held and orjson.dumps(value) < orjson.dumps(self.value))


class Last(First):
    """The value with the latest time; of several at that time the one whose JSON text comes last."""

    __slots__ = ()

    def _beats(self, value: Any, time: int, held: int) -> bool:
        return time > held or (time == held and orjson.dumps(value) > orjson.dumps(self.value))


class Percentiles:
    """A sketch of the distribution."""

    __slots__ = ("sketch",)

    def __init__(self) -> None:
        self.sketch = Sketch()

    def add(self, value: Any, time: int) -> None:
        self.sketch.add(value)

    def merge(self, other: Self) -> None:
        self.sketch.merge(other.sketch)

    def dump(self) -> Json:
        return self.sketch.dump()

    def load(self, state: Json) -> None:
        self.sketch = Sketch.load(state)
