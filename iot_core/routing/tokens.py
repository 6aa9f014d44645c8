r"""Tokens of the route language.

The longest match decides, and of equal ones the kind named first in `RULES`. That explains what surprises users:
`a!=b` is the property `a!` compared with b, `x||y`, `n-1` and `3+4` are single names, `'a'b` is a name too, and
`TRUE` is a property because literals are lower case. Comments need their end: `/messages/*` opens none unless a
`*/` follows somewhere.

Source of the rules: Azure/iotedge, edge-hub, `GrammarLexer.g4`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["MAX_TEXT_LENGTH", "Kind", "Token", "tokenize", "unescape"]

MAX_TEXT_LENGTH: Final = 32_768
"""Characters in a route. A whole desired section of `$edgeHub` has 32 KB, so no deployment can hold a longer one."""


class Kind(Enum):
    """What a token is; see `RULES` for how each is spelled."""

    SELECT = auto()
    FROM = auto()
    WHERE = auto()
    INTO = auto()
    STRING = auto()
    OPEN_STRING = auto()
    INTEGER = auto()
    HEX = auto()
    REAL = auto()
    TRUE = auto()
    FALSE = auto()
    NULL = auto()
    UNDEFINED = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()
    SYSTEM = auto()
    NAME = auto()
    PATH = auto()
    UNKNOWN = auto()
    END = auto()


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of the text; `start` and `end` are offsets in characters."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def is_symbol(self, *symbols: str) -> bool:
        """True for an operator or a punctuation mark with one of these spellings."""
        return self.kind in (Kind.OPERATOR, Kind.PUNCTUATION) and self.text in symbols


_ESCAPE = r"\\(?:[\"'\\]|u[0-9a-fA-F]{4})"
_EXPONENT = r"[Ee][+-]?[0-9]+"
_PATH_STOP = r"()<>@,;:\\\"/?={} \t\n\r"
_NAME_STOP = r"()<>@,;:\\\"/\[\]?={} \t\n\r"


def _word(spelling: str) -> re.Pattern[str]:
    return re.compile(spelling, re.IGNORECASE | re.ASCII)


RULES: Final = (
    (Kind.SELECT, _word("select")),
    (Kind.FROM, _word("from")),
    (Kind.WHERE, _word("where")),
    (Kind.INTO, _word("into")),
    (Kind.STRING, re.compile(rf"\"(?:{_ESCAPE}|[^\"\\])*\"|'(?:{_ESCAPE}|[^'\\])*'")),
    (Kind.OPEN_STRING, re.compile(rf"\"(?:{_ESCAPE}|[^\"\\])*|'(?:{_ESCAPE}|[^'\\])*")),
    (Kind.INTEGER, re.compile(r"-?[0-9]+")),
    (Kind.HEX, re.compile(r"0[Xx][0-9a-fA-F]+")),
    (Kind.REAL, re.compile(rf"-?[0-9]*(?:\.[0-9]+(?:{_EXPONENT})?|{_EXPONENT})")),
    (Kind.TRUE, re.compile("true")),
    (Kind.FALSE, re.compile("false")),
    (Kind.NULL, re.compile("null")),
    (Kind.UNDEFINED, re.compile("undefined")),
    (Kind.PUNCTUATION, re.compile(r"[(),{}]")),
    (Kind.OPERATOR, re.compile(r"!=|<>|<=|>=|\|\||\?\?|[-+*/%=<>]")),
    (Kind.AND, _word("and")),
    (Kind.OR, _word("or")),
    (Kind.NOT, _word("not")),
    (Kind.SYSTEM, re.compile(rf"\$[^{_PATH_STOP}]+")),
    (Kind.NAME, re.compile(rf"[^{_NAME_STOP}]+")),
    (Kind.PATH, re.compile(rf"[^{_PATH_STOP}]+")),
)
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_COMMENT_OPENING: Final = "/*"
_COMMENT_CLOSING: Final = "*/"


def tokenize(text: str) -> list[Token]:
    """Split text into tokens, with one of kind END last. Never fails: what fits no rule becomes UNKNOWN."""
    tokens: list[Token] = []
    position = 0
    while (position := _skip(text, position)) < len(text):
        token = _longest(text, position)
        tokens.append(token)
        position = token.end
    tokens.append(Token(kind=Kind.END, text="", start=len(text)))
    return tokens


def _skip(text: str, position: int) -> int:
    """The offset behind white space and closed comments."""
    while True:
        if space := _SPACE.match(text, position):
            position = space.end()
        elif text.startswith(_COMMENT_OPENING, position):
            closing = text.find(_COMMENT_CLOSING, position + len(_COMMENT_OPENING))
            if closing < 0:
                return position
            position = closing + len(_COMMENT_CLOSING)
        else:
            return position


def _longest(text: str, position: int) -> Token:
    kind, end = Kind.UNKNOWN, position + 1
    found = False
    for candidate, pattern in RULES:
        match = pattern.match(text, position)
        if match is not None and (match.end() > end or not found):
            kind, end, found = candidate, match.end(), True
    return Token(kind=kind, text=text[position:end], start=position)


_UNICODE_ESCAPE: Final = re.compile(r"\\[Uu]([0-9A-Fa-f]{4})")
_SIMPLE_ESCAPE: Final = re.compile(r"\\([\"'\\])")


def unescape(quoted: str) -> str:
    """The text inside a STRING token. Unicode escapes go first, as in the edge hub."""
    inner = _UNICODE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), quoted[1:-1])
    return _SIMPLE_ESCAPE.sub(lambda match: match[1], inner)
