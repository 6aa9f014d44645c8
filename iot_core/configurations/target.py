"""Target conditions: which devices or modules a configuration is for.

The body of a WHERE clause over deviceId, tags and reported properties; ``*`` for every device; for modules
``FROM devices.modules WHERE …`` in front, over moduleId too and without ``*``. NOT may follow a term without AND, as in
the IoT Edge documentation's own sample. An empty condition is for nobody.

Source: IoT Hub documentation, "Automatic device and module management using the Azure portal" (target condition); IoT
Edge documentation, "Understand IoT Edge automatic deployments" (target condition).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from iot_core.configurations.errors import TargetConditionError
from iot_core.errors import QueryError
from iot_core.json_types import JsonObject
from iot_core.limits import QUERY_CHARACTERS
from iot_core.query import Condition, compile_condition
from iot_core.query.ast import Step, mentioned_paths
from iot_core.query.parser import parse_condition
from iot_core.query.tokens import Kind, Token, tokenize

__all__ = ["DEVICES", "MODULES", "Target", "compile_target"]

DEVICES = "devices"
MODULES = "devices.modules"

CONDITION_CHARACTERS = QUERY_CHARACTERS - 192
"""So that the query of the metric targetedCount, which holds the condition, is no longer than a query may be."""

_IDS = {DEVICES: ("deviceId",), MODULES: ("deviceId", "moduleId")}
_VALUE_KINDS = (Kind.NAME, Kind.ESCAPED_NAME, Kind.NUMBER, Kind.STRING)
_VALUE_WORDS = ("TRUE", "FALSE", "NULL", "UNDEFINED")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A compiled target condition; call it with a twin (its ids, tags and reported properties do)."""

    collection: str
    where: str = ""
    """The condition as the body of a WHERE clause; ``*`` for all, empty for nobody."""
    condition: Condition | None = None
    """None: it is for nobody."""
    paths: frozenset[tuple[Step, ...]] = frozenset()
    """What it reads."""

    def __call__(self, document: JsonObject) -> bool:
        return self.condition is not None and self.condition(document)

    @property
    def reads_reported(self) -> bool:
        """Whether a device can move in or out of it by what it reports."""
        return any(path[0] == "properties" for path in self.paths)


def compile_target(text: str, *, star: bool = True) -> Target:
    """Compile a target condition; ``star`` False refuses ``*``, as testQueries does. Raises TargetConditionError."""
    if not text.strip():
        return Target(collection=DEVICES)
    if len(text) > CONDITION_CHARACTERS:
        raise TargetConditionError(f"targetCondition: it may have {CONDITION_CHARACTERS} characters, not {len(text)}")
    try:
        text = _with_every_and(text)
        collection, node = parse_condition(text)
        condition = compile_condition(text)
    except QueryError as error:
        raise TargetConditionError(f"targetCondition: {error}") from error
    if collection not in _IDS:
        raise TargetConditionError(f"targetCondition: a configuration cannot target {collection}")
    if node is None and (collection == MODULES or not star):
        raise TargetConditionError("targetCondition: * cannot be used here; write a condition")
    paths = frozenset(mentioned_paths(node))
    for path in paths:
        _check_path(collection, path)
    return Target(collection=collection, where=_body_of(text), condition=condition, paths=paths)


def _check_path(collection: str, path: tuple[Step, ...]) -> None:
    if path[0] in _IDS[collection] and len(path) == 1:
        return
    if path[0] == "tags" or path[:2] == ("properties", "reported"):
        return
    allowed = f"{', '.join(_IDS[collection])}, tags and properties.reported"
    name = ".".join(map(str, path))
    raise TargetConditionError(f"targetCondition: {name} cannot be used here; use {allowed}")


def _with_every_and(text: str) -> str:
    """The text with AND before each NOT that follows a value."""
    places = [token.start for before, token in pairwise(tokenize(text)) if token.is_keyword("NOT") and _is_end(before)]
    for place in reversed(places):
        text = f"{text[:place]}AND {text[place:]}"
    return text


def _body_of(text: str) -> str:
    """What follows FROM … WHERE, or all of the text."""
    tokens = tokenize(text)
    if not tokens[0].is_keyword("FROM"):
        return text.strip()
    # WHERE is a keyword of its own: the first one is that of the clause.
    where = next(token for token in tokens if token.is_keyword("WHERE"))
    return text[where.start + len(where.text) :].strip()


def _is_end(token: Token) -> bool:
    return token.kind in _VALUE_KINDS or token.is_keyword(*_VALUE_WORDS) or token.is_symbol(")", "]")
