"""Which of many target conditions each of many devices satisfies, as one whole number a device.

Conditions that read the same properties are asked once for each combination of values that occurs, not once a device;
those with a term `property = constant` only where that value occurs. So two hundred conditions over a hundred thousand
devices take seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from iot_core.configurations import Target
from iot_core.json_types import JsonObject

__all__ = ["Targeting", "bits"]

_MISSING = object()
Path = tuple[Any, ...]


class Targeting:
    """A fixed list of target conditions; bit n of a mask stands for the condition at position n."""

    def __init__(self, targets: Sequence[Target]) -> None:
        families: dict[frozenset[Path], list[tuple[int, Target]]] = defaultdict(list)
        self._always = 0
        for position, target in enumerate(targets):
            if target.condition is None:
                continue
            if not target.paths:
                self._always |= 1 << position if target({}) else 0
            else:
                families[target.paths].append((position, target))
        self._families = [_Family(sorted(paths, key=str), members) for paths, members in families.items()]

    def mask(self, twin: JsonObject) -> int:
        """The conditions that a twin (`deviceId`, `tags`, `properties.reported`) satisfies."""
        mask = self._always
        for family in self._families:
            mask |= family.mask(twin)
        return mask


class _Family:
    """Conditions that read the same paths; what they say of a combination of values is remembered."""

    def __init__(self, paths: Sequence[Path], members: Iterable[tuple[int, Target]]) -> None:
        self._readers = [_reader(path) for path in paths]
        self._known: dict[Hashable, int] = {}
        self._others: list[tuple[int, Target]] = []
        self._by_value: dict[int, dict[Any, list[tuple[int, Target]]]] = defaultdict(lambda: defaultdict(list))
        for member in members:
            self._file(member, {tuple(path): index for index, path in enumerate(paths)})

    def mask(self, twin: JsonObject) -> int:
        values = tuple([_key(read(twin)) for read in self._readers])
        try:
            known = self._known.get(values)
        except TypeError:  # an object or an array among the values cannot be a key
            return self._ask(twin, values)
        if known is None:
            known = self._known[values] = self._ask(twin, values)
        return known

    def _file(self, member: tuple[int, Target], positions: Mapping[Path, int]) -> None:
        """Put a condition where only twins with the right value find it, if it has a term that allows that."""
        condition = member[1].condition
        equalities = [(path, (value,)) for path, value in condition.equalities] if condition else []
        terms = [*equalities, *condition.memberships] if condition else []
        if not terms:
            self._others.append(member)
            return
        path, constants = terms[0]
        for constant in constants:
            self._by_value[positions[tuple(path)]][_key(constant)].append(member)

    def _ask(self, twin: JsonObject, values: tuple[Any, ...]) -> int:
        mask = 0
        for position, target in self._candidates(values):
            if target(twin):
                mask |= 1 << position
        return mask

    def _candidates(self, values: tuple[Any, ...]) -> Iterator[tuple[int, Target]]:
        yield from self._others
        for index, members in self._by_value.items():
            try:
                yield from members.get(values[index], ())
            except TypeError:  # an object or an array equals no constant
                continue


def bits(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _key(value: Any) -> Any:
    """The value as a key: Python takes true and 1 for the same one."""
    return ("boolean", value) if isinstance(value, bool) else value


def _reader(path: Path) -> Callable[[JsonObject], Any]:
    if len(path) == 1:
        name = path[0]
        return lambda twin: twin.get(name, _MISSING)

    def read(twin: Any) -> Any:
        for step in path:
            try:
                twin = twin[step]
            except (KeyError, TypeError, IndexError):
                return _MISSING
        return twin

    return read
