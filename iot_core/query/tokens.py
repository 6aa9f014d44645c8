"""Tokens of the query language. Keywords are written in any case; text in `[[ ]]` is a name whatever it says."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from iot_core.limits import QUERY_CHARACTERS
from iot_core.query.values import QuerySyntaxError

__all__ = ["KEYWORDS", "Kind", "Token", "tokenize"]

KEYWORDS: Final = frozenset(
    "SELECT TOP FROM WHERE GROUP BY AS AND OR NOT IN NIN TRUE FALSE NULL UNDEFINED".split()  # noqa: SIM905
)
_EXACT_INTEGER: Final = 2**53
"""Larger integers are read as doubles, as JSON's are."""


class Kind(Enum):
    """What a token is."""

    KEYWORD = auto()
    NAME = auto()
    ESCAPED_NAME = auto()
    NUMBER = auto()
    STRING = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of the text.

    `value` is the meaning: the keyword in capitals, the name, the number, the string without quotes, the symbol.
    """

    kind: Kind
    text: str
    value: Any
    start: int

    def is_keyword(self, *keywords: str) -> bool:
        return self.kind is Kind.KEYWORD and self.value in keywords

    def is_symbol(self, *symbols: str) -> bool:
        return self.kind is Kind.SYMBOL and self.value in symbols


_SPACE: Final = re.compile(r"(?:\s+|/\*.*?\*/)+", re.DOTALL)
_NAME: Final = re.compile(r"\$?[^\W\d]\w*")
_ESCAPED_NAME: Final = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]+")
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SYMBOL: Final = re.compile(r"<=|>=|<>|!=|[=<>+\-*/%()\[\],.]")
_STRING: Final = {
    "'": re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)|''", re.DOTALL)


def tokenize(text: str) -> list[Token]:
    """Split a query into tokens, with one of kind END last.

    Raises `QuerySyntaxError` for text over 8192 characters and for what is no token.
    """
    if len(text) > QUERY_CHARACTERS:
        raise QuerySyntaxError(f"a query has at most {QUERY_CHARACTERS} characters", QUERY_CHARACTERS)
    tokens: list[Token] = []
    position = _skip(text, 0)
    while position < len(text):
        token = _token(text, position)
        tokens.append(token)
        position = _skip(text, position + len(token.text))
    tokens.append(Token(kind=Kind.END, text="", value=None, start=len(text)))
    return tokens


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    position = space.end() if space else position
    if text.startswith("/*", position):
        raise QuerySyntaxError("a comment is never closed: add */", position)
    return position


def _token(text: str, position: int) -> Token:
    character = text[position]
    if character in _STRING:
        return _string(text, position)
    if character.isascii() and character.isdigit():
        return _number(text, position)
    if escaped := _ESCAPED_NAME.match(text, position):
        return Token(kind=Kind.ESCAPED_NAME, text=escaped[0], value=escaped[1], start=position)
    if name := _NAME.match(text, position):
        return _word(name[0], position)
    if symbol := _SYMBOL.match(text, position):
        return Token(kind=Kind.SYMBOL, text=symbol[0], value=symbol[0], start=position)
    raise QuerySyntaxError(f"'{character}' has no meaning here", position)


def _word(text: str, position: int) -> Token:
    if text.upper() in KEYWORDS:
        return Token(kind=Kind.KEYWORD, text=text, value=text.upper(), start=position)
    return Token(kind=Kind.NAME, text=text, value=text, start=position)


def _number(text: str, position: int) -> Token:
    match = _HEXADECIMAL.match(text, position) or _DECIMAL.match(text, position)
    assert match is not None  # the caller saw a digit
    if _NAME.match(text, match.end()):
        raise QuerySyntaxError(f"'{match[0]}' runs into a name", position)
    return Token(kind=Kind.NUMBER, text=match[0], value=_read_number(match[0]), start=position)


def _read_number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
        return value if value <= _EXACT_INTEGER else _double(value)
    if text.isdigit() and float(text) <= _EXACT_INTEGER:
        return int(text)
    return float(text)


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _string(text: str, position: int) -> Token:
    match = _STRING[text[position]].match(text, position)
    if match is None:
        raise QuerySyntaxError("a string is never closed", position)
    value = _unescape(match, position)
    return Token(kind=Kind.STRING, text=match[0], value=value, start=position)


def _unescape(match: re.Match[str], position: int) -> str:
    def replace(escape: re.Match[str]) -> str:
        if escape[1]:
            return chr(int(escape[1], 16))
        if escape[2] is None:
            return "'"
        if escape[2] not in "'\"\\":
            raise QuerySyntaxError(f"\\{escape[2]} is no escape: use \\' \\\" \\\\ or \\uXXXX", position)
        return escape[2]

    pattern = _ESCAPE if match[0][0] == "'" else _ESCAPE_IN_DOUBLE_QUOTES
    return pattern.sub(replace, match[1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ESCAPE_IN_DOUBLE_QUOTES: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL)
