"""Nodes of a parsed query. All are frozen; `position` is the offset in the text, in characters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from typing import Literal as Choice

__all__ = [
    "Aggregate",
    "Array",
    "Binary",
    "Call",
    "Constant",
    "Item",
    "Logical",
    "Membership",
    "Negative",
    "Node",
    "Not",
    "Path",
    "Select",
    "Step",
    "mentioned_paths",
]

Step = str | int
"""A member's name, or an index into an array."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """Base of all expressions."""

    position: int

    @property
    def children(self) -> tuple[Node, ...]:
        return ()

    @cached_property
    def depth(self) -> int:
        """Levels of nodes below and including this one."""
        return 1 + max((child.depth for child in self.children), default=0)


@dataclass(frozen=True, kw_only=True)
class Constant(Node):
    """A literal; `undefined` has the value UNDEFINED."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Array(Node):
    """`[const, …]`."""

    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Path(Node):
    """The place of a value in a document, with root names in their own spelling and without the collection's name."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Call(Node):
    """A function by its name in capitals, and its arguments."""

    name: str
    arguments: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.arguments


@dataclass(frozen=True, kw_only=True)
class Negative(Node):
    """Unary minus."""

    operand: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, kw_only=True)
class Not(Node):
    """NOT."""

    operand: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, kw_only=True)
class Binary(Node):
    """Arithmetic or a comparison."""

    operator: str
    left: Node
    right: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, kw_only=True)
class Membership(Node):
    """`operand IN [const, …]`, or NIN when `negated`."""

    operand: Node
    values: tuple[Any, ...]
    negated: bool

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, kw_only=True)
class Logical(Node):
    """A chain of AND or of OR; flat, so that a long chain does not nest."""

    operator: Choice["AND", "OR"]
    operands: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.operands


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """COUNT, AVG, SUM, MIN or MAX, and what it is over (nothing for COUNT)."""

    function: str
    path: Path | None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing selected and its key in the rows."""

    value: Path | Aggregate
    key: str


@dataclass(frozen=True, kw_only=True)
class Select:
    """A query's clauses. `items` is None for `SELECT *`; `top` is None without TOP."""

    collection: str
    items: tuple[Item, ...] | None
    top: int | None
    where: Node | None
    group_by: tuple[Path, ...]


def mentioned_paths(node: Node | None) -> Iterator[tuple[Step, ...]]:
    """The steps of every path in an expression, one by one."""
    if isinstance(node, Path):
        yield node.steps
    for child in node.children if node is not None else ():
        yield from mentioned_paths(child)
