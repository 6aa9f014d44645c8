"""A definition made ready to run: its paths as closures, its aggregates as one layout of parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from iot_core.errors import MessageError
from iot_core.routing import RoutedMessage, Truth
from iot_core.routing.compiler import compile_condition
from iot_core.routing.parser import parse_condition
from modules.aggregator.aligned import AlignedWindows
from modules.aggregator.cells import Cell, Census, Layout
from modules.aggregator.functions import FUNCTIONS, Function, Whole
from modules.aggregator.parts import Part
from modules.aggregator.paths import Reader, Record, number_reader_of_path, reader_of_path
from modules.aggregator.sessions import SessionWindows
from modules.aggregator.settings import Definition, Hopping, Session, Sliding, Tumbling
from modules.aggregator.sliding import SlidingWindows
from modules.aggregator.times import MICROS, micros, reader_of
from modules.aggregator.windows import Windows

__all__ = ["MAX_KEY_BYTES", "MAX_PANES", "Plan"]

MAX_PANES = 250_000
"""Windows of one definition that are held at once, over all groups: some hundred megabytes for simple functions."""
MAX_KEY_BYTES = 512
"""A group's key as JSON: with many groups long keys would be most of the memory."""


@dataclass(frozen=True, kw_only=True)
class _Column:
    """Values that parts take: `numeric` columns give numbers only."""

    read: Reader
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class _Output:
    """One value of a result: its function, and which parts of the cell it reads."""

    name: str
    function: Function
    parts: tuple[int, ...]
    p: float | None


class Plan:
    """See the module. Reading never raises but MessageError."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._group_names = tuple(sorted(definition.group_by))  # A twin does not keep the order of names.
        self._group_readers = [reader_of_path(definition.group_by[name]) for name in self._group_names]
        self._where = _condition(definition.where)
        stamp = definition.timestamp
        self._stamp = None if stamp is None else (reader_of_path(stamp.path), reader_of(stamp.format))
        self._columns: list[_Column] = []
        self._outputs: list[_Output] = []
        self.layout = self._lay_out()

    def accepts(self, record: Record) -> bool:
        """Whether the condition is true for the record."""
        return self._where is None or self._where(record.routed) is True

    def time(self, record: Record) -> tuple[int, bool]:
        """The event time, and whether it is the one that the definition names; else the time at which the edge hub got
        the message, or at which it came here. MessageError when there is one that cannot be read."""
        if self._stamp is not None:
            read, parse = self._stamp
            value = read(record)
            if value is not None:
                return parse(value), True
        for name in ("creationtime", "enqueuedtime"):
            if text := record.folded_system.get(name):
                return _ISO(text), self._stamp is None
        return record.arrival, self._stamp is None

    def key(self, record: Record) -> str:
        """The group as a JSON array of its values, null where the record has none; MessageError for a value that is an
        object or array, and for a key that is too long."""
        if not self._group_readers:
            return "[]"
        key = orjson.dumps([_scalar(read(record)) for read in self._group_readers])
        if len(key) > MAX_KEY_BYTES:
            raise MessageError(f"the group's key takes {len(key)} bytes: {MAX_KEY_BYTES} are allowed")
        return key.decode()

    def group(self, key: str) -> dict[str, Any]:
        """The values of a key by name."""
        return dict(zip(self._group_names, orjson.loads(key), strict=True))

    def values(self, record: Record) -> tuple[list[Any], int]:
        """One value for each column, None where there is none; and how many could not be used: objects, arrays, and
        what is no number where one is needed."""
        unusable = 0
        found: list[Any] = []
        for column in self._columns:
            value = column.read(record)
            kind = type(value)
            if value is not None and not (kind is float or kind is int or (not column.numeric and kind in (str, bool))):
                unusable += 1
                value = None
            found.append(value)
        return found, unusable

    def result(self, cell: Cell, length: int) -> dict[str, Any]:
        """The aggregates of a window of `length` microseconds, by name."""
        return {out.name: self._value(out, cell, length / MICROS) for out in self._outputs}

    def windows(self) -> Windows:
        """New, empty windows."""
        lateness = micros(self.definition.allowed_lateness)
        census = Census(max_groups=self.definition.max_groups, max_panes=MAX_PANES)
        match self.definition.window:
            case Tumbling(size=size, offset=offset):
                return AlignedWindows(
                    self.layout, census, size=micros(size), hop=micros(size), offset=micros(offset), lateness=lateness
                )
            case Hopping(size=size, hop=hop, offset=offset):
                return AlignedWindows(
                    self.layout, census, size=micros(size), hop=micros(hop), offset=micros(offset), lateness=lateness
                )
            case Sliding(size=size):
                return SlidingWindows(self.layout, census, size=micros(size), lateness=lateness)
            case Session(gap=gap):
                return SessionWindows(self.layout, census, gap=micros(gap), lateness=lateness)

    def _value(self, out: _Output, cell: Cell, length_s: float) -> Any:
        whole = Whole(records=cell.records, length_s=length_s, p=out.p)
        return out.function.result(whole, *(cell.parts[at] for at in out.parts))

    def _lay_out(self) -> Layout:
        """Functions of the same values share their parts."""
        columns: dict[tuple[str, bool], int] = {}
        slots: dict[tuple[int, Callable[[], Part]], int] = {}
        for name, aggregate in self.definition.aggregates.items():
            function = FUNCTIONS[aggregate.function]
            parts: list[int] = []
            if aggregate.of is not None:
                column = columns.setdefault((aggregate.of, function.numeric), len(columns))
                parts = [slots.setdefault((column, part), len(slots)) for part in function.parts]
            self._outputs.append(_Output(name=name, function=function, parts=tuple(parts), p=aggregate.p))
        self._columns = [
            _Column(read=number_reader_of_path(path) if numeric else reader_of_path(path), numeric=numeric)
            for path, numeric in columns
        ]
        return Layout(parts=tuple(part for _, part in slots), columns=tuple(column for column, _ in slots))


_ISO = reader_of("iso")
LARGEST_WHOLE = 2**53  # Above it not every whole number is a double.


def _condition(text: str | None) -> Callable[[RoutedMessage], Truth] | None:
    return None if text is None else compile_condition(parse_condition(text).node)


def _scalar(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE:
        return int(value)  # 1.0 and 1 are one group.
    if isinstance(value, dict | list):
        raise MessageError("a value of the group is an object or array: group by a text, number or boolean")
    return value
