"""Queries: tokens in, frozen nodes out.

    query     = SELECT [ TOP integer ] ( "*" | item { "," item } ) FROM collection [ WHERE expression ]
                [ GROUP BY path { "," path } ]
    item      = ( path | aggregate ) [ AS name ]
    aggregate = COUNT "(" [ "*" ] ")" | ( AVG | SUM | MIN | MAX ) "(" path ")"
    expression, loosest first:  OR   AND   NOT   = != <> < <= > >= IN NIN   + -   * / %   - (sign)   primary
    primary   = constant | name "(" [ expression { "," expression } ] ")" | path | array | "(" expression ")"
    array     = "[" [ constant { "," constant } ] "]"            IN and NIN take one of these
    path      = segment { "." segment | "[" integer "]" } ;      segment = name | $name | "[[" anything "]]"

Names start with a letter or an underscore; a keyword or a name of other characters has to be written in `[[ ]]`.
There is no ORDER BY, JOIN, LIMIT, DISTINCT, LIKE, BETWEEN or subquery.

Source of the rules: IoT Hub developer guide, "IoT Hub query language for device and module twins, jobs, and message
routing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from iot_core.query.ast import (
    Aggregate,
    Array,
    Binary,
    Call,
    Constant,
    Item,
    Logical,
    Membership,
    Negative,
    Node,
    Not,
    Path,
    Select,
    Step,
)
from iot_core.query.functions import check_call
from iot_core.query.paths import COLLECTIONS, resolve
from iot_core.query.tokens import Kind, Token, tokenize
from iot_core.query.values import UNDEFINED, QuerySyntaxError

__all__ = ["MAX_NESTING", "parse_condition", "parse_select"]

MAX_NESTING: Final = 64
"""Levels of parentheses, signs, NOT, calls and chained operators; a chain of AND or OR is one level however long. Far
below Python's limit of 1000 frames, which is the reason for it."""

AGGREGATES: Final = frozenset({"COUNT", "AVG", "SUM", "MIN", "MAX"})
_CONSTANT_WORDS: Final = {"UNDEFINED": UNDEFINED, "NULL": None, "TRUE": True, "FALSE": False}
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT = range(1, 7)
_BINDING: Final = (
    {"OR": _OR, "AND": _AND, "IN": _COMPARISON, "NIN": _COMPARISON}
    | dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), _COMPARISON)
    | dict.fromkeys(("+", "-"), _SUM)
    | dict.fromkeys(("*", "/", "%"), _PRODUCT)
)
"""How tightly a binary operator binds; NOT has its place among them."""

_TWIN_ONLY_ROOTS: Final = frozenset({"tags", "properties"})
_JOBS: Final = "devices.jobs"

_T = TypeVar("_T")


def parse_select(text: str) -> Select:
    """Parse a whole query. Raises `QuerySyntaxError`."""
    return _Parser(text).select()


def parse_condition(text: str) -> tuple[str, Node | None]:
    """Parse a condition to the collection it is about and its tree, which is None when it is `*`.

    It is the body of WHERE; `FROM devices.modules WHERE …` in front makes it one for modules.
    Raises `QuerySyntaxError`.
    """
    return _Parser(text).bare_condition()


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._index = 0
        self._nesting = 0
        self._collection = "devices"

    # Tokens

    @property
    def token(self) -> Token:
        return self._tokens[self._index]

    @property
    def _next(self) -> Token:
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self.token
        self._index += token.kind is not Kind.END
        return token

    def _unexpected(self, wanted: str) -> QuerySyntaxError:
        token = self.token
        found = f"'{token.text}'" if token.kind is not Kind.END else "the end of the query"
        hint = f"; write [[{token.text}]] for a name" if token.kind is Kind.KEYWORD and wanted == _A_NAME else ""
        return QuerySyntaxError(f"expected {wanted}, found {found}{hint}", token.start)

    def _take_symbol(self, symbol: str) -> Token:
        if not self.token.is_symbol(symbol):
            raise self._unexpected(f"'{symbol}'")
        return self._take()

    def _take_keyword(self, keyword: str) -> Token:
        if not self.token.is_keyword(keyword):
            raise self._unexpected(keyword)
        return self._take()

    def _accept_keyword(self, keyword: str) -> bool:
        found = self.token.is_keyword(keyword)
        self._index += found
        return found

    def _accept_symbol(self, symbol: str) -> bool:
        found = self.token.is_symbol(symbol)
        self._index += found
        return found

    def _take_end(self) -> None:
        if self.token.kind is not Kind.END:
            raise self._unexpected("the end of the query")

    def _listed(self, one: Callable[[], _T]) -> tuple[_T, ...]:
        items = [one()]
        while self._accept_symbol(","):
            items.append(one())
        return tuple(items)

    # Clauses

    def select(self) -> Select:
        self._take_keyword("SELECT")
        top = self._integer() if self._accept_keyword("TOP") else None
        selected = self._index
        self._skip_to_from()
        self._take_keyword("FROM")
        self._collection = self._source()
        behind_source = self._index
        self._index = selected
        items = self._items()
        if not self.token.is_keyword("FROM"):
            raise self._unexpected("',' or FROM")
        self._index = behind_source
        where = self._expression() if self._accept_keyword("WHERE") else None
        group_by = self._group_by()
        self._take_end()
        return Select(collection=self._collection, items=items, top=top, where=where, group_by=group_by)

    def _skip_to_from(self) -> None:
        """What is selected can only be read once the collection is known."""
        while self.token.kind is not Kind.END and not self.token.is_keyword("FROM"):
            self._index += 1

    def _source(self) -> str:
        start = self.token
        names = [str(step).lower() for step in self._segments()]
        collection = ".".join(names)
        if collection not in COLLECTIONS:
            raise QuerySyntaxError(f"FROM takes {', '.join(COLLECTIONS)}, not '{collection}'", start.start)
        return collection

    def _items(self) -> tuple[Item, ...] | None:
        if self._accept_symbol("*"):
            return None
        if self._collection == _JOBS:
            raise QuerySyntaxError(f"{_JOBS} takes SELECT * only", self.token.start)
        values = self._listed(self._item)
        unnamed = iter(range(1, len(values) + 1))
        return tuple(Item(value=value, key=alias or _key(value, unnamed)) for value, alias in values)

    def _item(self) -> tuple[Path | Aggregate, str | None]:
        is_call = self.token.kind is Kind.NAME and self._next.is_symbol("(")
        value = self._aggregate() if is_call else self._path()
        return value, self._name() if self._accept_keyword("AS") else None

    def _aggregate(self) -> Aggregate:
        name = self._take()
        function = name.text.upper()
        if function not in AGGREGATES:
            raise QuerySyntaxError(f"{name.text} cannot be selected: use COUNT, AVG, SUM, MIN or MAX", name.start)
        self._take_symbol("(")
        if function == "COUNT":
            self._accept_symbol("*")
            path = None
        else:
            path = self._path()
        self._take_symbol(")")
        return Aggregate(function=function, path=path)

    def _group_by(self) -> tuple[Path, ...]:
        start = self.token.start
        if not self._accept_keyword("GROUP"):
            return ()
        self._take_keyword("BY")
        if self._collection == _JOBS:
            raise QuerySyntaxError(f"{_JOBS} cannot be grouped", start)
        return self._listed(self._path)

    def bare_condition(self) -> tuple[str, Node | None]:
        if self._accept_keyword("FROM"):
            self._collection = self._source()
            self._take_keyword("WHERE")
        node = None if self._accept_symbol("*") else self._expression()
        self._take_end()
        return self._collection, node

    # Expressions

    @contextmanager
    def _level(self) -> Iterator[None]:
        self._nesting += 1
        self._check_depth(self._nesting, self.token.start)
        yield
        self._nesting -= 1

    def _check_depth(self, depth: int, position: int) -> None:
        if depth > MAX_NESTING:
            raise QuerySyntaxError(f"an expression nests at most {MAX_NESTING} levels", position)

    def _expression(self, least: int = 0) -> Node:
        """Everything that binds tighter than `least`; comparisons do not chain."""
        with self._level():
            left = self._unary(least)
            last = 0
            while (binding := _binding(self.token)) > least and not binding == last == _COMPARISON:
                left = self._join(left, self._take(), binding)
                self._check_depth(left.depth, left.position)
                last = binding
            return left

    def _join(self, left: Node, operator: Token, binding: int) -> Node:
        if operator.is_keyword("IN", "NIN"):
            values = self._array().values
            return Membership(position=left.position, operand=left, values=values, negated=operator.value == "NIN")
        right = self._expression(binding)
        if operator.kind is Kind.KEYWORD:
            first = left.operands if isinstance(left, Logical) and left.operator == operator.value else (left,)
            return Logical(position=left.position, operator=operator.value, operands=(*first, right))
        return Binary(position=operator.start, operator=operator.value, left=left, right=right)

    def _unary(self, least: int) -> Node:
        """A sign goes with a primary; NOT takes a whole comparison and so cannot be an operand of one."""
        token = self.token
        if least < _NOT and self._accept_keyword("NOT"):
            return Not(position=token.start, operand=self._expression(_NOT - 1))
        if self._accept_symbol("-"):
            return Negative(position=token.start, operand=self._primary())
        return self._primary()

    def _primary(self) -> Node:
        token = self.token
        if self._accept_symbol("("):
            node = self._expression()
            self._take_symbol(")")
            return node
        if token.is_symbol("["):
            return self._array()
        if token.kind is Kind.NAME and self._next.is_symbol("("):
            return self._call()
        if self._at_constant():
            return Constant(position=token.start, value=self._constant())
        if token.kind in (Kind.NAME, Kind.ESCAPED_NAME):
            return self._path()
        raise self._unexpected("a value")

    def _call(self) -> Node:
        name = self._take()
        self._take()
        arguments: tuple[Node, ...] = ()
        if not self.token.is_symbol(")"):
            arguments = self._listed(self._expression)
        self._take_symbol(")")
        check_call(name.text, len(arguments), name.start)
        return Call(position=name.start, name=name.text.upper(), arguments=arguments)

    # Constants and paths

    def _at_constant(self) -> bool:
        return self.token.kind in (Kind.NUMBER, Kind.STRING) or self.token.is_keyword(*_CONSTANT_WORDS)

    def _constant(self) -> Any:
        token = self.token
        if not self._at_constant():
            raise self._unexpected("a constant")
        self._take()
        return _CONSTANT_WORDS[token.value] if token.kind is Kind.KEYWORD else token.value

    def _element(self) -> Any:
        """A constant in an array; numbers may have a sign there."""
        if self._accept_symbol("-"):
            if self.token.kind is not Kind.NUMBER:
                raise self._unexpected("a number")
            return -self._take().value
        return self._constant()

    def _array(self) -> Array:
        start = self._take_symbol("[").start
        values: tuple[Any, ...] = ()
        if not self.token.is_symbol("]"):
            values = self._listed(self._element)
        self._take_symbol("]")
        return Array(position=start, values=values)

    def _integer(self) -> int:
        token = self.token
        if not isinstance(token.value, int) or token.kind is not Kind.NUMBER:
            raise self._unexpected("a whole number")
        return int(self._take().value)

    def _name(self) -> str:
        if self.token.kind not in (Kind.NAME, Kind.ESCAPED_NAME):
            raise self._unexpected(_A_NAME)
        return str(self._take().value)

    def _segments(self) -> list[Step]:
        steps: list[Step] = [self._name()]
        while True:
            if self._accept_symbol("."):
                steps.append(self._name())
            elif self._accept_symbol("["):
                steps.append(self._integer())
                self._take_symbol("]")
            else:
                return steps

    def _path(self) -> Path:
        start = self.token.start
        steps = resolve(self._collection, self._segments())
        if self._collection == _JOBS and steps[0] in _TWIN_ONLY_ROOTS:
            raise QuerySyntaxError(f"{_JOBS} has no {steps[0]}: conditions on twins do not go with jobs", start)
        return Path(position=start, steps=steps)


_A_NAME: Final = "a name"


def _binding(token: Token) -> int:
    return _BINDING.get(token.value, 0) if token.kind in (Kind.KEYWORD, Kind.SYMBOL) else 0


def _key(value: Path | Aggregate, unnamed: Iterator[int]) -> str:
    """A path's last name; aggregates without an alias are `$1`, `$2` …, as in Azure Cosmos DB."""
    if isinstance(value, Aggregate):
        return f"${next(unnamed)}"
    return next(step for step in reversed(value.steps) if isinstance(step, str))
