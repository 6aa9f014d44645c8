"""V10 and V11: conditions that say something else than they seem to.

Source: IoT Edge source, edge-hub, `GrammarLexer.g4`, `Condition.g4` and `QueryValue`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from iot_core.manifest.validation.notes import Note, error, warning
from iot_core.manifest.validation.reading import Reading, RouteEntry
from iot_core.routing import ParsedRoute, RouteSyntaxError
from iot_core.routing.ast import Binary, Call, Literal, Node, Property, SystemProperty, Unary
from iot_core.routing.body import BODY_PREFIX
from iot_core.routing.values import StaticType

__all__ = ["body_conditions", "explanations", "glued_operators"]

_COMPARISONS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
_LITERALS = frozenset({"TRUE", "FALSE", "NULL", "UNDEFINED"})
_GLUED = re.compile(r"[!+*%|]|^\d")
"""In a name these are most likely operators, which need spaces round them."""
_CHECKS = frozenset({"is_number", "is_bool", "is_string"})


def glued_operators(reading: Reading) -> Iterator[Note]:
    """V10: names that swallow an operator, literals in capitals, NOT before a comparison, text beside a number."""
    for route in reading.routes:
        note = error if isinstance(route.compiled, RouteSyntaxError) else warning
        for message, fix in explanations(route):
            yield note(route.path, message, fix)


def explanations(route: RouteEntry) -> Iterator[tuple[str, str]]:
    """What is doubtful in a route's condition, and what to write instead."""
    if not isinstance(route.parsed, ParsedRoute):
        return
    for node in _nodes(route.parsed.condition.node):
        if isinstance(node, Property):
            yield from _name(node.name)
        elif isinstance(node, Binary) and node.operator in _COMPARISONS:
            yield from _comparison(node)


def _nodes(node: Node | None) -> Iterator[Node]:
    if node is not None:
        yield node
        for child in node.children:
            yield from _nodes(child)


def _name(name: str) -> Iterator[tuple[str, str]]:
    if name.upper() in _LITERALS:
        yield f"{name} is taken for a property of that name", f"Write {name.lower()}: literals are in small letters"
    elif _GLUED.search(name):
        yield f"{name[:60]!r} is taken for one name", "Put spaces round operators"


def _comparison(node: Binary) -> Iterator[tuple[str, str]]:
    if isinstance(node.left, Unary) and node.left.operator == "NOT":
        yield f"NOT binds before {node.operator}: NOT a = b means (NOT a) = b", "Write NOT (a = b)"
        return
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if _is_text(one) and isinstance(other, Literal) and other.type is StaticType.NUMBER:
            yield f"{_text_of(one)} is text and is compared with a number", "Write as_number(…), or quote the number"


def _is_text(node: Node) -> bool:
    return isinstance(node, Property) or (isinstance(node, SystemProperty) and not _is_body(node))


def _text_of(node: Node) -> str:
    return node.name[:60] if isinstance(node, Property | SystemProperty) else "it"


def _is_body(node: Node) -> bool:
    return isinstance(node, SystemProperty) and node.name.lower().startswith(BODY_PREFIX)


def body_conditions(reading: Reading) -> Iterator[Note]:
    """V11: what is easily overlooked where a condition reads the body."""
    for route in reading.routes:
        if not isinstance(route.parsed, ParsedRoute) or isinstance(route.compiled, RouteSyntaxError):
            continue
        nodes = list(_nodes(route.parsed.condition.node))
        if not any(map(_is_body, nodes)):
            continue
        if not any(isinstance(node, SystemProperty) and node.name.lower() == "$contenttype" for node in nodes):
            message = "reads the body, which is undefined unless the message says application/json and utf-8"
            yield warning(route.path, message, "Set contentType and contentEncoding where the messages are sent")
        yield from _order(route, nodes)
        for node in nodes:
            if isinstance(node, Call) and node.name.lower() == "is_null" and any(map(_is_body, node.arguments)):
                message = "is_null of a body value is true when it is there and false when it is missing"
                yield warning(route.path, message, f"Write {_text_of(node.arguments[0])} = null")


def _order(route: RouteEntry, nodes: list[Node]) -> Iterator[Note]:
    """Comparisons that are true where the path is missing, unless another part of the condition looks after that."""
    guarded = {
        _text_of(argument)
        for node in nodes
        if isinstance(node, Call) and node.name.lower() in _CHECKS
        for argument in node.arguments
    }
    for node in nodes:
        if isinstance(node, Binary) and node.operator in ("<", "<=", ">", ">="):
            larger = node.left if node.operator in (">", ">=") else node.right
            if _is_body(larger) and _text_of(larger) not in guarded:
                message = f"{_text_of(larger)} counts as larger than any number or text where it is missing"
                fix = f"Add AND is_number({_text_of(larger)})"
                yield warning(route.path, message, fix)
