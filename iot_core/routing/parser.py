"""Conditions and routes: tokens in, frozen nodes out.

    route     = [ SELECT "*" ] FROM path [ WHERE condition ] INTO sink        (what follows the sink is ignored)
    path      = "/" item { "/" item } ;         item = "*" | name
    sink      = "$" name | name "(" string ")"
    condition = expression | nothing            (what follows the first complete expression is ignored)
    expression, loosest first:  ??   OR   AND   = != <>   < <= > >=   + - ||   * / %   NOT   - (sign)   primary
    primary   = "(" expression ")" | literal | name | name "(" [ expression { "," expression } ] ")"
              | "$" name | "{" "$" name "}"

Binary operators associate to the left. NOT binds tighter than a comparison: `NOT a = 'x'` is `(NOT a) = 'x'`. The
grammar lets some mistakes through (a missing or superfluous parenthesis, a stray character); they become `Fault`
nodes, which fail when the condition is compiled: a route can parse and still not compile, as in the edge hub.

Source of the rules: Azure/iotedge, edge-hub, `Route.g4` and `Condition.g4`; IoT Edge documentation, "Learn how to
deploy modules and establish routes in IoT Edge".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from iot_core.routing.ast import Binary, Call, Fault, Literal, Logical, Node, Property, SystemProperty, Unary
from iot_core.routing.tokens import MAX_TEXT_LENGTH, Kind, Token, tokenize, unescape
from iot_core.routing.values import UNDEFINED, RouteSyntaxError, StaticType

__all__ = ["MAX_NESTING", "ParsedCondition", "ParsedRoute", "parse_condition", "parse_route"]

MAX_NESTING: Final = 64
"""Levels of parentheses, signs, calls and chained operators; a chain of AND or OR is one level however long. Far
below Python's limit of 1000 frames, which is the reason for it."""

_STRAY_CHARACTER: Final = 1
_BINDING: Final = {"??": 2, "OR": 3, "AND": 4, "=": 5, "!=": 5, "<>": 5, "<": 6, "<=": 6, ">": 6, ">=": 6} | {
    "+": 7,
    "-": 7,
    "||": 7,
    "*": 8,
    "/": 8,
    "%": 8,
}
_LOGICAL: Final = (Kind.AND, Kind.OR)


@dataclass(frozen=True, kw_only=True)
class ParsedCondition:
    """A condition: its tree, its own text, and the text behind it that has no effect."""

    node: Node | None
    text: str
    ignored_text: str


@dataclass(frozen=True, kw_only=True)
class ParsedRoute:
    """The parts of a route's text. `endpoint` is the address in a sink such as `BrokeredEndpoint("…")`, else None."""

    source: str
    condition: ParsedCondition
    sink: str
    sink_position: int
    endpoint: str | None
    ignored_text: str


def parse_condition(text: str) -> ParsedCondition:
    """Parse a condition alone.

    Raises `RouteSyntaxError`. Empty text is a condition without a node, which is never true.
    """
    parser = _Parser(text)
    if parser.token.kind is Kind.END:
        return ParsedCondition(node=None, text="", ignored_text="")
    return parser.condition()


def parse_route(text: str) -> ParsedRoute:
    """Parse a route's text. Raises `RouteSyntaxError`; types and functions are not looked at."""
    return _Parser(text).route()


class _Parser:
    """Recursive descent over one text."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT_LENGTH:
            raise RouteSyntaxError(f"a route has at most {MAX_TEXT_LENGTH} characters", MAX_TEXT_LENGTH)
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._nesting = 0
        self._parentheses = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self.token
        if token.kind is not Kind.END:
            self._index += 1
        return token

    def _take_symbol(self, symbol: str, after: str) -> Token:
        if not self.token.is_symbol(symbol):
            raise self._unexpected(f"'{symbol}' after {after}")
        return self._take()

    def _take_kind(self, kind: Kind, wanted: str) -> Token:
        if self.token.kind is not kind:
            raise self._unexpected(wanted)
        return self._take()

    def _unexpected(self, wanted: str) -> RouteSyntaxError:
        found = f"'{self.token.text}'" if self.token.text else "the end of the text"
        return RouteSyntaxError(f"expected {wanted}, found {found}", self.token.start)

    def _text_from(self, start: int) -> str:
        """The text from an offset up to the end of the last token taken."""
        return self._text[start : self._tokens[self._index - 1].end]

    # Routes

    def route(self) -> ParsedRoute:
        if self.token.kind is Kind.SELECT:
            self._take()
            self._take_symbol("*", "SELECT")
        self._take_kind(Kind.FROM, "FROM")
        source = self._path()
        condition = self._where()
        self._take_kind(Kind.INTO, "WHERE or INTO" if condition is None else "INTO")
        sink = self.token
        endpoint = self._sink()
        return ParsedRoute(
            source=source,
            condition=condition or _ALWAYS,
            sink=sink.text,
            sink_position=sink.start,
            endpoint=endpoint,
            ignored_text=self._rest(),
        )

    def _path(self) -> str:
        parts: list[str] = []
        while not parts or self.token.is_symbol("/"):
            self._take_symbol("/", "FROM")
            if not (self.token.is_symbol("*") or self.token.kind is Kind.NAME):
                raise self._unexpected("'*' or a name that is no keyword and no number after '/'")
            parts.append(self._take().text)
        return "".join(f"/{part}" for part in parts)

    def _where(self) -> ParsedCondition | None:
        if self.token.kind is not Kind.WHERE:
            return None
        self._take()
        return self.condition()

    def _sink(self) -> str | None:
        if self.token.kind is Kind.SYSTEM:
            self._take()
            return None
        self._take_kind(Kind.NAME, '$upstream or BrokeredEndpoint("/modules/<module>/inputs/<input>") after INTO')
        self._take_symbol("(", "the sink's name")
        address = self._take_kind(Kind.STRING, "the endpoint's address in quotes")
        self._take_symbol(")", "the endpoint's address")
        return unescape(address.text)

    def _rest(self) -> str:
        return self._text[self.token.start :]

    # Conditions

    def condition(self) -> ParsedCondition:
        start = self.token.start
        node = self._expression(0)
        return ParsedCondition(node=node, text=self._text_from(start), ignored_text=self._rest())

    @contextmanager
    def _level(self) -> Iterator[None]:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self._too_deep(self.token.start)
        yield
        self._nesting -= 1

    def _too_deep(self, position: int) -> RouteSyntaxError:
        return RouteSyntaxError(f"a condition nests at most {MAX_NESTING} levels", position)

    def _expression(self, least: int) -> Node:
        """Everything that binds tighter than `least`."""
        with self._level():
            left = self._unary()
            while (binding := _binding(self.token)) > least:
                left = self._join(left, self._take(), binding)
                if left.depth > MAX_NESTING:
                    raise self._too_deep(left.position)
            return left

    def _join(self, left: Node, operator: Token, binding: int) -> Node:
        right = self._expression(binding)
        if operator.kind in _LOGICAL:
            return _logical(left, operator, right)
        if operator.kind is Kind.UNKNOWN:
            return _stray(operator)
        return Binary(position=operator.start, operator=operator.text, left=left, right=right)

    def _unary(self) -> Node:
        token = self.token
        if not (token.kind is Kind.NOT or token.is_symbol("-")):
            return self._primary()
        self._take()
        with self._level():
            operator: Final = "NOT" if token.kind is Kind.NOT else "-"
            return Unary(position=token.start, operator=operator, operand=self._unary())

    def _primary(self) -> Node:
        token = self._take()
        if token.kind in _LITERALS:
            return _LITERALS[token.kind](token)
        if token.kind is Kind.SYSTEM:
            return SystemProperty(position=token.start, name=token.text, escaped=False)
        if token.kind is Kind.NAME:
            return self._call(token) if self.token.is_symbol("(") else Property(position=token.start, name=token.text)
        if token.is_symbol("("):
            return self._nested(token)
        if token.is_symbol("{"):
            return self._escaped(token)
        return self._no_primary(token)

    def _nested(self, opening: Token) -> Node:
        self._parentheses += 1
        node = self._expression(0)
        self._parentheses -= 1
        if not self.token.is_symbol(")"):
            return Fault(position=opening.start, reason="'(' is never closed")
        self._take()
        return self._without_extra_parenthesis(node)

    def _without_extra_parenthesis(self, node: Node) -> Node:
        if self._parentheses or not self.token.is_symbol(")"):
            return node
        return Fault(position=self._take().start, reason="')' has no '('")

    def _escaped(self, opening: Token) -> Node:
        name = self._take_kind(Kind.SYSTEM, "a system property such as $messageId after '{'")
        self._take_symbol("}", name.text)
        return SystemProperty(position=opening.start, name=name.text, escaped=True)

    def _call(self, name: Token) -> Node:
        self._take()
        self._parentheses += 1
        arguments = self._arguments()
        self._parentheses -= 1
        self._take_symbol(")", f"the arguments of {name.text}")
        return self._without_extra_parenthesis(Call(position=name.start, name=name.text, arguments=arguments))

    def _arguments(self) -> tuple[Node, ...]:
        if self.token.is_symbol(")"):
            return ()
        arguments = [self._expression(0)]
        while self.token.is_symbol(","):
            self._take()
            arguments.append(self._expression(0))
        return tuple(arguments)

    def _no_primary(self, token: Token) -> Node:
        if token.kind is Kind.UNKNOWN:
            return _stray(token)
        if token.kind is Kind.OPEN_STRING:
            return Fault(position=token.start, reason=f"the text that starts with {token.text[0]} has no closing quote")
        if token.kind is not Kind.END:
            self._index -= 1
        raise self._unexpected("a value")


def _binding(token: Token) -> int:
    """How tightly a token binds as a binary operator; 0 when it is none."""
    if token.kind is Kind.OPERATOR:
        return _BINDING[token.text]
    if token.kind in _LOGICAL:
        return _BINDING[token.text.upper()]
    return _STRAY_CHARACTER if token.kind is Kind.UNKNOWN else 0


def _logical(left: Node, operator: Token, right: Node) -> Logical:
    word: Final = "AND" if operator.kind is Kind.AND else "OR"
    first = left.operands if isinstance(left, Logical) and left.operator == word else (left,)
    return Logical(position=left.position, operator=word, operands=(*first, right))


def _stray(token: Token) -> Fault:
    return Fault(position=token.start, reason=f"'{token.text}' has no meaning here")


def _constant(type_: StaticType, value: str | float | bool | None, token: Token) -> Literal:
    return Literal(position=token.start, type=type_, value=value)


def _number(token: Token) -> Literal:
    try:
        return _constant(StaticType.NUMBER, float(token.text), token)
    except ValueError:
        # "e5" has the form of a number without being one.
        return Literal(position=token.start, type=StaticType.UNDEFINED, value=UNDEFINED)


def _hexadecimal(token: Token) -> Literal:
    """Hexadecimal digits are a signed 64-bit integer."""
    value = int(token.text, 16)
    if value >= 1 << 64:
        return Literal(position=token.start, type=StaticType.UNDEFINED, value=UNDEFINED)
    return _constant(StaticType.NUMBER, float(value - (1 << 64) if value >= 1 << 63 else value), token)


_LITERALS: Final[dict[Kind, Callable[[Token], Literal]]] = {
    Kind.STRING: lambda token: _constant(StaticType.TEXT, unescape(token.text), token),
    Kind.INTEGER: _number,
    Kind.REAL: _number,
    Kind.HEX: _hexadecimal,
    Kind.TRUE: lambda token: _constant(StaticType.BOOL, True, token),
    Kind.FALSE: lambda token: _constant(StaticType.BOOL, False, token),
    Kind.NULL: lambda token: _constant(StaticType.NULL, None, token),
    Kind.UNDEFINED: lambda token: Literal(position=token.start, type=StaticType.UNDEFINED, value=UNDEFINED),
}

_ALWAYS: Final = ParsedCondition(
    node=Literal(position=0, type=StaticType.BOOL, value=True), text="true", ignored_text=""
)
