"""Compiles a parsed condition into one closure, once per route; the closure then runs for every message.

Source of the rules: Azure/iotedge, edge-hub, `ConditionVisitor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iot_core.routing.ast import Binary, Call, Fault, Literal, Logical, Node, Property, SystemProperty, Unary
from iot_core.routing.body import BODY_PREFIX, body_reader, parse_body_path
from iot_core.routing.functions import call, concatenate
from iot_core.routing.message import RoutedMessage
from iot_core.routing.operators import arithmetic, coalesce, compare, logical, negate, negation, truth
from iot_core.routing.values import UNDEFINED, Compiled, Reader, RouteSyntaxError, StaticType, Truth, Value

__all__ = ["compile_condition"]

_ARITHMETIC: Final = frozenset("+-*/%")


def compile_condition(node: Node | None) -> Callable[[RoutedMessage], Truth]:
    """The truth of a condition as a function of the message; that of no condition is UNDEFINED.

    Raises `RouteSyntaxError` for wrong types, unknown functions and mistakes the grammar let through.
    """
    if node is None:
        return lambda message: UNDEFINED
    return truth(_compile(node))


def _compile(node: Node) -> Compiled:
    match node:
        case Literal():
            return _constant(node.type, node.value)
        case Property():
            return Compiled(type=StaticType.TEXT, read=_property_reader(node.name))
        case SystemProperty():
            return _compile_system(node)
        case Unary():
            operand = _compile(node.operand)
            return (negation if node.operator == "NOT" else negate)(operand, node.position)
        case Binary():
            return _compile_binary(node)
        case Logical():
            return logical(node.operator, [_compile(operand) for operand in node.operands], node.position)
        case Call():
            return call(node.name, [_compile(argument) for argument in node.arguments], node.position)
        case Fault():
            raise RouteSyntaxError(node.reason, node.position)
    raise AssertionError(f"no rule compiles {type(node).__name__}")


def _compile_binary(node: Binary) -> Compiled:
    left, right = _compile(node.left), _compile(node.right)
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


def _compile_system(node: SystemProperty) -> Compiled:
    """`$name` and `$body.path`; unless escaped, an application property of that very name comes first."""
    is_body = node.name.lower().startswith(BODY_PREFIX)
    has_brackets = "[" in node.name or "]" in node.name
    if is_body:
        read = body_reader(parse_body_path(node.name[len(BODY_PREFIX) :], node.position))
    elif has_brackets:
        return _constant(StaticType.UNDEFINED, UNDEFINED)
    else:
        read = _system_reader(node.name[1:])
    if not (node.escaped or has_brackets):
        read = _property_or(node.name, read)
    return Compiled(type=StaticType.BODY if is_body else StaticType.TEXT, read=read)


def _property_or(name: str, other: Reader) -> Reader:
    folded = name.lower()

    def read(message: RoutedMessage) -> Value:
        properties = message.folded_properties
        return properties[folded] if folded in properties else other(message)

    return read
