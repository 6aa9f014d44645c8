"""Checks JSON values against JSON Schema, draft 2020-12, as far as schemas of settings use it.

Keywords that say something of a value and are not known here are refused, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iot_core.errors import SettingsError
from iot_core.json_types import JsonObject

__all__ = ["Schema"]

_ANNOTATIONS = frozenset(
    {
        *("$schema", "$id", "$comment", "$defs", "title", "description", "default", "examples", "format"),
        *("discriminator", "readOnly", "writeOnly", "deprecated"),
    }
)
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


class Schema:
    """One schema document; SettingsError when it uses what is not known here."""

    def __init__(self, document: JsonObject, *, name: str = "schema") -> None:
        self.name = name
        self._document = document
        self._definitions: JsonObject = document.get("$defs", {})
        for part in (document, *self._definitions.values()):
            _check_keywords(part, name)

    @property
    def properties(self) -> JsonObject:
        """The schemas of the members that it names."""
        found: JsonObject = self._document.get("properties", {})
        return found

    def problems(self, value: Any) -> list[str]:
        """What is wrong with a value, each with where ("limits.low: …"); empty when nothing is."""
        return list(self._check(self._document, value, ""))

    def problems_of(self, name: str, value: Any) -> list[str]:
        """What is wrong with the value of one member that the schema names."""
        return list(self._check(self.properties[name], value, name))

    def _check(self, schema: Any, value: Any, path: str) -> Iterator[str]:
        if isinstance(schema, bool):
            if not schema:
                yield _at(path, "is not allowed")
            return
        if "$ref" in schema:
            yield from self._check(self._definitions[schema["$ref"].rpartition("/")[2]], value, path)
        for keyword, argument in schema.items():
            check = _CHECKS.get(keyword)
            if check is not None:
                yield from (_at(path, problem) for problem in check(argument, value))
        yield from self._choices(schema, value, path)
        if isinstance(value, dict):
            yield from self._members(schema, value, path)
        if isinstance(value, list):
            yield from self._items(schema, value, path)

    def _items(self, schema: JsonObject, value: list[Any], path: str) -> Iterator[str]:
        first = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            part = first[index] if index < len(first) else schema.get("items", True)
            yield from self._check(part, item, f"{path}[{index}]")

    def _choices(self, schema: JsonObject, value: Any, path: str) -> Iterator[str]:
        for part in schema.get("allOf", ()):
            yield from self._check(part, value, path)
        for keyword in ("anyOf", "oneOf"):
            if keyword not in schema:
                continue
            tried = [list(self._check(choice, value, path)) for choice in schema[keyword]]
            if all(tried):
                yield min(tried, key=len)[0]
            elif keyword == "oneOf" and sum(not problems for problems in tried) > 1:
                yield _at(path, "fits more than one of the choices")

    def _members(self, schema: JsonObject, value: JsonObject, path: str) -> Iterator[str]:
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            parts = [named[name]] if name in named else []
            parts += [part for pattern, part in patterns.items() if re.search(pattern, name)]
            for part in parts:
                yield from self._check(part, item, below)
            if not parts and "additionalProperties" in schema:
                yield from self._check(schema["additionalProperties"], item, below)
            elif not parts and patterns:
                yield _at(below, f"is no allowed name: {' or '.join(patterns)}")


def _check_keywords(schema: Any, name: str) -> None:
    if not isinstance(schema, dict):
        return
    known = _CHECKS.keys() | _ANNOTATIONS | _STRUCTURE
    if unknown := schema.keys() - known:
        raise SettingsError(f"{name} uses {min(unknown)!r}, which is not known here")
    parts = [*schema.get("properties", {}).values(), *schema.get("patternProperties", {}).values()]
    parts += [schema.get("items"), schema.get("additionalProperties")]
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        parts += schema.get(keyword, ())
    for part in parts:
        _check_keywords(part, name)


_STRUCTURE = frozenset(
    {
        "$ref",
        "properties",
        "patternProperties",
        "additionalProperties",
        "items",
        "prefixItems",
        "anyOf",
        "oneOf",
        "allOf",
    }
)


def _at(path: str, problem: str) -> str:
    return f"{path}: {problem}" if path else problem


def _typed(argument: str | list[str], value: Any) -> Iterator[str]:
    kinds = [argument] if isinstance(argument, str) else argument
    if not any(_TYPES[kind](value) for kind in kinds):
        yield f"must be {' or '.join(kinds)}, not {_shown(value)}"


def _one_of(argument: list[Any], value: Any) -> Iterator[str]:
    if not any(_same(value, choice) for choice in argument):
        yield f"must be one of {', '.join(map(_shown, argument))}, not {_shown(value)}"


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _limit(text: str, ok: Callable[[Any, Any], bool], size: bool = False) -> Callable[[Any, Any], Iterator[str]]:
    """A check of a number, or of the size of a text, array or object."""

    def check(argument: Any, value: Any) -> Iterator[str]:
        if not ok(len(value) if size else value, argument):
            yield f"{text.format(argument)}, not {len(value) if size else _shown(value)}"

    return check


def _only(kind: str, check: Callable[[Any, Any], Iterator[str]]) -> Callable[[Any, Any], Iterator[str]]:
    def guarded(argument: Any, value: Any) -> Iterator[str]:
        return check(argument, value) if _TYPES[kind](value) else iter(())

    return guarded


def _pattern(argument: str, value: str) -> Iterator[str]:
    if re.search(argument, value) is None:
        yield f"must match {argument}"


def _unique(argument: bool, value: list[Any]) -> Iterator[str]:
    if argument and any(_same(item, other) for n, item in enumerate(value) for other in value[:n]):
        yield "must not hold a value twice"


def _required(argument: list[str], value: JsonObject) -> Iterator[str]:
    yield from (f"{name} is missing" for name in argument if name not in value)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool | None) else str(value).lower().replace("none", "null")
    return text if len(text) <= 60 else text[:57] + "…"


_CHECKS: Mapping[str, Callable[[Any, Any], Iterator[str]]] = {
    "type": _typed,
    "enum": _one_of,
    "const": lambda argument, value: _one_of([argument], value),
    "minimum": _only("number", _limit("must be at least {}", lambda value, least: value >= least)),
    "maximum": _only("number", _limit("must be at most {}", lambda value, most: value <= most)),
    "exclusiveMinimum": _only("number", _limit("must be more than {}", lambda value, least: value > least)),
    "exclusiveMaximum": _only("number", _limit("must be less than {}", lambda value, most: value < most)),
    "multipleOf": _only("number", _limit("must be a multiple of {}", lambda value, of: value % of == 0)),
    "minLength": _only("string", _limit("must have at least {} characters", lambda n, least: n >= least, size=True)),
    "maxLength": _only("string", _limit("must have at most {} characters", lambda n, most: n <= most, size=True)),
    "pattern": _only("string", _pattern),
    "minItems": _only("array", _limit("must have at least {} items", lambda n, least: n >= least, size=True)),
    "maxItems": _only("array", _limit("must have at most {} items", lambda n, most: n <= most, size=True)),
    "uniqueItems": _only("array", _unique),
    "minProperties": _only("object", _limit("must have at least {} members", lambda n, least: n >= least, size=True)),
    "maxProperties": _only("object", _limit("must have at most {} members", lambda n, most: n <= most, size=True)),
    "required": _only("object", _required),
}
