"""Compiles an expression into a closure, once per query; the closure then runs for every document.

Evaluation never raises. Logic is three-valued: `true OR undefined` is true, `false AND undefined` is false, NOT of
undefined is undefined; what is no boolean counts as undefined there. A row is taken only where the whole is true, so
`!=`, NIN and NOT drop rows that lack the value too: `NOT IS_DEFINED(tags.x)` finds those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from iot_core.query.ast import Array, Binary, Call, Constant, Logical, Membership, Negative, Node, Not, Path, Step
from iot_core.query.functions import FUNCTIONS
from iot_core.query.paths import path_reader
from iot_core.query.values import COMPARISONS, UNDEFINED, Document, Reader, arithmetic, equal

__all__ = ["compile_predicate", "equalities", "is_conjunction", "memberships"]


def compile_predicate(node: Node | None) -> Callable[[Document], bool]:
    """True for the documents that a condition takes; without a condition, all."""
    if node is None:
        return lambda document: True
    read = _compile(node)
    return lambda document: read(document) is True


def _compile(node: Node) -> Reader:
    match node:
        case Constant():
            return _constant(node.value)
        case Array():
            return _constant(list(node.values))
        case Path():
            return path_reader(node.steps)
        case Negative():
            return _compile(Binary(position=node.position, operator="-", left=_ZERO, right=node.operand))
        case Not():
            return _negation(_compile(node.operand))
        case Binary():
            return _compile_binary(node)
        case Membership():
            return _membership(_compile(node.operand), node.values, node.negated)
        case Logical():
            return _kleene(node.operator == "OR", [_compile(operand) for operand in node.operands])
        case Call():
            return _call(FUNCTIONS[node.name][1], [_compile(argument) for argument in node.arguments])
    raise AssertionError(f"no rule compiles {type(node).__name__}")


_ZERO: Final = Constant(position=0, value=0)


def _constant(value: Any) -> Reader:
    return lambda document: value


def _compile_binary(node: Binary) -> Reader:
    left, right = _compile(node.left), _compile(node.right)
    if node.operator == "=":
        for text, other in ((node.right, left), (node.left, right)):
            if isinstance(text, Constant) and isinstance(text.value, str):
                return _equals_text(other, text.value)
    apply = COMPARISONS.get(node.operator) or arithmetic(node.operator)
    return lambda document: apply(left(document), right(document))


def _equals_text(read: Reader, text: str) -> Reader:
    """The commonest condition by far, and a string equals no value of another type."""

    def test(document: Document) -> Any:
        value = read(document)
        return UNDEFINED if value is UNDEFINED else value == text

    return test


def _negation(read: Reader) -> Reader:
    def test(document: Document) -> Any:
        value = read(document)
        return not value if isinstance(value, bool) else UNDEFINED

    return test


def _membership(read: Reader, values: tuple[Any, ...], negated: bool) -> Reader:
    texts = frozenset(value for value in values if isinstance(value, str))
    others = [value for value in values if not isinstance(value, str)]

    def test(document: Document) -> Any:
        value = read(document)
        if value is UNDEFINED:
            return UNDEFINED
        found = value in texts if isinstance(value, str) else any(equal(value, other) is True for other in others)
        return found is not negated

    return test


def _kleene(dominant: bool, readers: list[Reader]) -> Reader:
    """AND (dominant False) or OR (dominant True): the dominant value wins, else an undefined one, else the other."""

    def test(document: Document) -> Any:
        result: Any = not dominant
        for read in readers:
            value = read(document)
            if value is dominant:
                return dominant
            if value is not result:
                result = UNDEFINED
        return result

    return test


def _call(function: Callable[..., Any], arguments: list[Reader]) -> Reader:
    if len(arguments) == 1:
        only = arguments[0]
        return lambda document: function(only(document))
    return lambda document: function(*[argument(document) for argument in arguments])


# What an index can answer


def equalities(node: Node | None) -> tuple[tuple[tuple[str, ...], str | int | float | bool], ...]:
    """(path, constant) of every `path = constant` that has to hold in each row; null and indexed paths are left out."""
    found = []
    for term in _terms(node):
        if isinstance(term, Binary) and term.operator == "=":
            for path, constant in ((term.left, term.right), (term.right, term.left)):
                names = _names(path)
                if names and isinstance(constant, Constant) and _is_indexable(constant.value):
                    found.append((names, constant.value))
    return tuple(found)


def memberships(node: Node | None) -> tuple[tuple[tuple[str, ...], tuple[str | int | float | bool, ...]], ...]:
    """(path, constants) of every `path IN [constants]` that has to hold in each row, under the same rules."""
    found = []
    for term in _terms(node):
        if isinstance(term, Membership) and not term.negated:
            names = _names(term.operand)
            if names and all(_is_indexable(value) for value in term.values):
                found.append((names, term.values))
    return tuple(found)


def is_conjunction(node: Node | None) -> bool:
    """Whether a condition says no more than its `equalities`."""
    return len(_terms(node)) == len(equalities(node))


def _terms(node: Node | None) -> list[Node]:
    """The operands of the outermost AND, in parentheses or not."""
    if isinstance(node, Logical) and node.operator == "AND":
        return [term for operand in node.operands for term in _terms(operand)]
    return [] if node is None else [node]


def _names(node: Node) -> tuple[str, ...]:
    steps: tuple[Step, ...] = node.steps if isinstance(node, Path) else ()
    names = tuple(step for step in steps if isinstance(step, str))
    return names if len(names) == len(steps) else ()


def _is_indexable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
