"""Compiles a parsed condition into one closure, once per route; the closure then runs for every message.

A `Dialect` holds what the routes of an edge hub and those of IoT Hub do not share.

Source of the rules: Azure/iotedge, edge-hub, `ConditionVisitor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from iot_core.routing.ast import Binary, Call, Fault, Literal, Logical, Node, Property, SystemProperty, Unary
from iot_core.routing.body import BODY_PREFIX, body_reader, parse_body_path
from iot_core.routing.functions import EDGE_INSPECTIONS, Inspection, call, concatenate
from iot_core.routing.message import RoutedMessage
from iot_core.routing.operators import arithmetic, coalesce, compare, logical, negate, negation, truth
from iot_core.routing.values import UNDEFINED, Compiled, Reader, RouteSyntaxError, StaticType, Truth, Value

__all__ = ["EDGE", "Dialect", "compile_condition"]

_ARITHMETIC: Final = frozenset("+-*/%")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How `$name` values are read: `paths` compiles those that begin with a prefix (in lower case), given the rest of
    the name and its position. And the functions that take a value of any type.
    """

    paths: Mapping[str, Callable[[str, int], Compiled]]
    inspections: Mapping[str, Inspection]


def _edge_body(path: str, position: int) -> Compiled:
    return Compiled(type=StaticType.BODY, read=body_reader(parse_body_path(path, position)))


EDGE: Final = Dialect(paths={BODY_PREFIX: _edge_body}, inspections=EDGE_INSPECTIONS)


def compile_condition(node: Node | None, dialect: Dialect = EDGE) -> Callable[[RoutedMessage], Truth]:
    """The truth of a condition as a function of the message; that of no condition is UNDEFINED.

    Raises `RouteSyntaxError` for wrong types, unknown functions and mistakes the grammar let through.
    """
    if node is None:
        return lambda message: UNDEFINED
    return truth(_compile(node, dialect))


def _compile(node: Node, dialect: Dialect) -> Compiled:
    match node:
        case Literal():
            return _constant(node.type, node.value)
        case Property():
            return Compiled(type=StaticType.TEXT, read=_property_reader(node.name))
        case SystemProperty():
            return _compile_system(node, dialect)
        case Unary():
            operand = _compile(node.operand, dialect)
            return (negation if node.operator == "NOT" else negate)(operand, node.position)
        case Binary():
            return _compile_binary(node, dialect)
        case Logical():
            return logical(node.operator, [_compile(operand, dialect) for operand in node.operands], node.position)
        case Call():
            arguments = [_compile(argument, dialect) for argument in node.arguments]
            return call(node.name, arguments, node.position, dialect.inspections)
        case Fault():
            raise RouteSyntaxError(node.reason, node.position)
    raise AssertionError(f"no rule compiles {type(node).__name__}")


def _compile_binary(node: Binary, dialect: Dialect) -> Compiled:
    left, right = _compile(node.left, dialect), _compile(node.right, dialect)
    if node.operator == "||":
        return concatenate((left, right), "||", node.position)
    if node.operator == "??":
        return coalesce(left, right, node.position)
    if node.operator in _ARITHMETIC:
        return arithmetic(node.operator, left, right, node.position)
    return compare(node.operator, left, right, node.position)


def _constant(type_: StaticType, value: Value) -> Compiled:
    return Compiled(type=type_, read=lambda message: value)


def _property_reader(name: str) -> Reader:
    folded = name.lower()
    return lambda message: message.folded_properties.get(folded, UNDEFINED)


def _system_reader(name: str) -> Reader:
    folded = name.lower()
    return lambda message: message.folded_system.get(folded, UNDEFINED)


def _compile_system(node: SystemProperty, dialect: Dialect) -> Compiled:
    """`$name` and `$body.path`; unless escaped, an application property of that very name comes first."""
    has_brackets = "[" in node.name or "]" in node.name
    compiled = _compile_path(node, dialect)
    if compiled is None:
        if has_brackets:
            return _constant(StaticType.UNDEFINED, UNDEFINED)
        compiled = Compiled(type=StaticType.TEXT, read=_system_reader(node.name[1:]))
    if node.escaped or has_brackets:
        return compiled
    read_json = compiled.read_json and _property_or(node.name, compiled.read_json)
    return replace(compiled, read=_property_or(node.name, compiled.read), read_json=read_json)


def _compile_path(node: SystemProperty, dialect: Dialect) -> Compiled | None:
    for prefix, compile_path in dialect.paths.items():
        if node.name.lower().startswith(prefix):
            return compile_path(node.name[len(prefix) :], node.position)
    return None


def _property_or(name: str, other: Reader) -> Reader:
    folded = name.lower()

    def read(message: RoutedMessage) -> Value:
        properties = message.folded_properties
        return properties[folded] if folded in properties else other(message)

    return read
