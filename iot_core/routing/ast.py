"""Nodes of a parsed condition. All are frozen; `position` is the offset in the text, in characters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal as Choice

from iot_core.routing.values import StaticType, Undefined

__all__ = ["Binary", "Call", "Fault", "Literal", "Logical", "Node", "Property", "SystemProperty", "Unary"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """Base of all nodes."""

    position: int

    @property
    def children(self) -> tuple[Node, ...]:
        return ()

    @cached_property
    def depth(self) -> int:
        """Levels of nodes below and including this one."""
        return 1 + max((child.depth for child in self.children), default=0)


@dataclass(frozen=True, kw_only=True)
class Literal(Node):
    """A constant; a number that cannot be read has type UNDEFINED."""

    type: StaticType
    value: str | float | bool | Undefined | None


@dataclass(frozen=True, kw_only=True)
class Property(Node):
    """An application property by name."""

    name: str


@dataclass(frozen=True, kw_only=True)
class SystemProperty(Node):
    """`$name` or `$body.path`, with the dollar sign; `{$name}` is `escaped`: never an application property."""

    name: str
    escaped: bool


@dataclass(frozen=True, kw_only=True)
class Call(Node):
    """A function by its name as written, and its arguments."""

    name: str
    arguments: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.arguments


@dataclass(frozen=True, kw_only=True)
class Unary(Node):
    """Minus or NOT."""

    operator: Choice["-", "NOT"]
    operand: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, kw_only=True)
class Binary(Node):
    """Arithmetic, `||`, comparison or `??`."""

    operator: str
    left: Node
    right: Node

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, kw_only=True)
class Logical(Node):
    """A chain of AND or of OR, left to right; flat, so that a long chain does not nest."""

    operator: Choice["AND", "OR"]
    operands: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        return self.operands


@dataclass(frozen=True, kw_only=True)
class Fault(Node):
    """A mistake that the edge hub's grammar lets through, to report it when the condition is compiled."""

    reason: str
