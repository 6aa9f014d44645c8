"""A query that is compiled once and run over any number of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, TypeAlias

from iot_core.query.ast import Aggregate, Select, Step, mentioned_paths
from iot_core.query.compiler import compile_predicate, equalities, is_conjunction, memberships
from iot_core.query.parser import parse_condition, parse_select
from iot_core.query.rows import Rows, compile_rows
from iot_core.query.values import Document

__all__ = ["Condition", "Equality", "ItemType", "Membership", "Query", "compile_condition", "parse", "run"]

ItemType: TypeAlias = Literal["Twin", "Raw", "DeviceJob"]
"""What rows are, in the spelling of the header x-ms-item-type."""

Equality: TypeAlias = tuple[tuple[str, ...], str | int | float | bool]
Membership: TypeAlias = tuple[tuple[str, ...], tuple[str | int | float | bool, ...]]

_JOBS: Final = "devices.jobs"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A compiled WHERE clause; call it with a document to learn whether it takes it. Never raises.

    `equalities` and `memberships` are terms of the outermost AND, for a store with indexes: every document taken
    satisfies all of them, but not every document that satisfies them is taken. Paths are names from the document's
    root, such as `("tags", "location", "region")`; true equals true only, never 1.
    """

    collection: str
    equalities: tuple[Equality, ...]
    memberships: tuple[Membership, ...]
    only_equalities: bool
    """Whether they are the whole condition: every document that satisfies all `equalities` is taken."""
    _predicate: Callable[[Document], bool] = field(repr=False, compare=False)

    def __call__(self, document: Document) -> bool:
        return self._predicate(document)


@dataclass(frozen=True, kw_only=True)
class Query:
    """A compiled query. `select` is its syntax tree."""

    text: str
    select: Select
    condition: Condition
    _rows: Rows = field(repr=False, compare=False)

    @property
    def collection(self) -> str:
        """`devices`, `devices.modules` or `devices.jobs`."""
        return self.select.collection

    @property
    def is_projection(self) -> bool:
        """True unless it is `SELECT *`."""
        return self.select.items is not None

    @property
    def is_aggregate(self) -> bool:
        """True when rows are groups, so that all documents have to be seen before the first row."""
        items = self.select.items or ()
        return bool(self.select.group_by) or any(isinstance(item.value, Aggregate) for item in items)

    @property
    def top(self) -> int | None:
        """The most rows it gives, or None without TOP."""
        return self.select.top

    @property
    def is_count(self) -> bool:
        """True when it gives nothing but the number of documents that its condition takes, once or more often."""
        items = self.select.items or ()
        counts = all(isinstance(item.value, Aggregate) and item.value.path is None for item in items)
        return bool(items) and counts and not self.select.group_by

    @property
    def paths(self) -> frozenset[tuple[Step, ...]]:
        """Every path that it reads, besides the whole documents of `SELECT *`."""
        values = [item.value for item in self.select.items or ()]
        selected = [value.path if isinstance(value, Aggregate) else value for value in values]
        nodes = (self.select.where, *selected, *self.select.group_by)
        return frozenset(path for node in nodes for path in mentioned_paths(node))

    @property
    def item_type(self) -> ItemType:
        """`DeviceJob` for jobs, `Raw` for projections and aggregates, else `Twin`."""
        if self.collection == _JOBS:
            return "DeviceJob"
        return "Raw" if self.is_projection else "Twin"

    @property
    def equalities(self) -> tuple[Equality, ...]:
        """See `Condition`."""
        return self.condition.equalities

    @property
    def memberships(self) -> tuple[Membership, ...]:
        """See `Condition`."""
        return self.condition.memberships

    def run(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Rows for the documents of its collection, in their order.

        Rows of `SELECT *` are the documents themselves and projected values are parts of them: do not change them.
        """
        return islice(self._rows(filter(self.condition, documents)), self.top)


def parse(text: str) -> Query:
    """Parse and compile a query. Raises `QuerySyntaxError` (a `QueryError`) with the position in the text."""
    select = parse_select(text)
    return Query(
        text=text,
        select=select,
        condition=Condition(
            collection=select.collection,
            equalities=equalities(select.where),
            memberships=memberships(select.where),
            only_equalities=is_conjunction(select.where),
            _predicate=compile_predicate(select.where),
        ),
        _rows=compile_rows(select),
    )


def run(text: str, documents: Iterable[Document]) -> Iterator[Document]:
    """Rows of a query over the documents of its collection.

    Raises `QuerySyntaxError` at once, not at the first row.
    """
    return parse(text).run(documents)


def compile_condition(text: str) -> Condition:
    """Compile the condition of a job or configuration: the body of a WHERE clause, or `*` for all.

    `FROM devices.modules WHERE …` makes it one for modules. Raises `QuerySyntaxError`.
    """
    collection, node = parse_condition(text)
    return Condition(
        collection=collection,
        equalities=equalities(node),
        memberships=memberships(node),
        only_equalities=is_conjunction(node),
        _predicate=compile_predicate(node),
    )
