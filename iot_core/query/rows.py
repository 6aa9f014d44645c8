"""What a query gives back for the documents it takes: themselves, projections, or groups with aggregates.

Source of the rules: IoT Hub developer guide, "IoT Hub query language" (SELECT clause, GROUP BY clause).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from iot_core.query.ast import Aggregate, Item, Path, Select
from iot_core.query.paths import path_reader
from iot_core.query.values import UNDEFINED, Document, QuerySyntaxError, Reader, is_number

__all__ = ["Rows", "compile_rows"]

Rows = Callable[[Iterable[Document]], Iterator[Document]]


def compile_rows(select: Select) -> Rows:
    """The function from matching documents to rows, before TOP.

    Raises `QuerySyntaxError` where what is selected does not go with the grouping.
    """
    _check(select)
    if select.items is None:
        return iter
    if select.group_by or any(isinstance(item.value, Aggregate) for item in select.items):
        return _grouped(select.items, select.group_by)
    return _projected(select.items)


def _check(select: Select) -> None:
    if select.items is None:
        if select.group_by:
            raise QuerySyntaxError("SELECT * does not go with GROUP BY", select.group_by[0].position)
        return
    paths = [item.value for item in select.items if isinstance(item.value, Path)]
    if not select.group_by and len(paths) == len(select.items):
        return
    keys = {path.steps for path in select.group_by}
    for path in paths:
        if path.steps not in keys:
            raise QuerySyntaxError("beside an aggregate, only what GROUP BY names can be selected", path.position)


def _projected(items: tuple[Item, ...]) -> Rows:
    readers = [(item.key, path_reader(item.value.steps)) for item in items if isinstance(item.value, Path)]

    def rows(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            values = ((key, read(document)) for key, read in readers)
            yield {key: value for key, value in values if value is not UNDEFINED}

    return rows


def _grouped(items: tuple[Item, ...], group_by: tuple[Path, ...]) -> Rows:
    keys = [path_reader(path.steps) for path in group_by]
    makers = [(item.key, _maker(item)) for item in items]

    def rows(documents: Iterable[Document]) -> Iterator[Document]:
        groups: dict[Any, list[tuple[str, _Accumulator]]] = {}
        if not keys:
            groups[()] = [(key, make()) for key, make in makers]
        for document in documents:
            identity = tuple(_identity(read(document)) for read in keys)
            group = groups.get(identity)
            if group is None:
                group = groups[identity] = [(key, make()) for key, make in makers]
            for _, accumulator in group:
                accumulator.add(document)
        for group in groups.values():
            results = ((key, accumulator.result()) for key, accumulator in group)
            yield {key: value for key, value in results if value is not UNDEFINED}

    return rows


def _identity(value: Any) -> Any:
    """A hashable stand-in that keeps 1, true and '1' apart; 1 and 1.0 are one number."""
    if isinstance(value, dict):
        return dict, frozenset((key, _identity(member)) for key, member in value.items())
    if isinstance(value, list):
        return list, tuple(_identity(element) for element in value)
    return float if is_number(value) else type(value), value


class _Accumulator:
    """Takes the documents of a group one by one and has a result at the end."""

    def add(self, document: Document) -> None:
        raise NotImplementedError

    def result(self) -> Any:
        raise NotImplementedError


class _First(_Accumulator):
    """A grouping path: the same in the whole group."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._value: Any = UNDEFINED

    def add(self, document: Document) -> None:
        if self._value is UNDEFINED:
            self._value = self._read(document)

    def result(self) -> Any:
        return self._value


class _Count(_Accumulator):
    def __init__(self) -> None:
        self._count = 0

    def add(self, document: Document) -> None:
        self._count += 1

    def result(self) -> int:
        return self._count


class _Sum(_Accumulator):
    """Sum of the numbers; anything else is passed over. 0 over nothing."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._sum: int | float = 0
        self._count = 0

    def add(self, document: Document) -> None:
        value = self._read(document)
        if is_number(value):
            self._sum += value
            self._count += 1

    def result(self) -> Any:
        return self._sum


class _Average(_Sum):
    """Mean of the numbers; undefined over nothing."""

    def result(self) -> Any:
        return self._sum / self._count if self._count else UNDEFINED


class _Extreme(_Accumulator):
    """Least or greatest number; of the strings where there is no number; undefined over nothing."""

    def __init__(self, read: Reader, choose: Callable[[Any, Any], Any]) -> None:
        self._read = read
        self._choose = choose
        self._number: Any = UNDEFINED
        self._string: Any = UNDEFINED

    def add(self, document: Document) -> None:
        value = self._read(document)
        if is_number(value):
            self._number = value if self._number is UNDEFINED else self._choose(self._number, value)
        elif isinstance(value, str):
            self._string = value if self._string is UNDEFINED else self._choose(self._string, value)

    def result(self) -> Any:
        return self._string if self._number is UNDEFINED else self._number


_AGGREGATES: Final[dict[str, Callable[[Reader], _Accumulator]]] = {
    "SUM": _Sum,
    "AVG": _Average,
    "MIN": lambda read: _Extreme(read, min),
    "MAX": lambda read: _Extreme(read, max),
}


def _maker(item: Item) -> Callable[[], _Accumulator]:
    if isinstance(item.value, Path):
        first = path_reader(item.value.steps)
        return lambda: _First(first)
    if item.value.path is None:
        return _Count
    make, read = _AGGREGATES[item.value.function], path_reader(item.value.path.steps)
    return lambda: make(read)
