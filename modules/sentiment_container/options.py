"""The query parameters (v3.x) and `parameters` (Language API) of a sentiment request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.common.text_units import DEFAULT_UNIT, UNITS
from modules.sentiment_container.errors import INVALID_ARGUMENT, RequestError

__all__ = ["MODEL_VERSION", "AnswerOptions", "flag", "options_from_query", "options_of_task"]

MODEL_VERSION = "2026-11-25"
"""Of the model here: a date, as the service's versions are, but not one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerOptions:
    """What a request asks for beside its documents. loggingOptOut is taken and changes nothing: nothing is logged."""

    show_stats: bool = False
    unit: str = DEFAULT_UNIT


def options_from_query(query: Mapping[str, str], *, extended: bool) -> AnswerOptions:
    """Those of v2.1, v3.0 and (`extended`) v3.1; names without regard to case; RequestError."""
    named = {name.lower(): value for name, value in query.items()}
    _check_model(named.get("model-version"))
    if not extended:
        return AnswerOptions(show_stats=flag(named, "showStats"))
    flag(named, "loggingOptOut")
    _check_opinions(flag(named, "opinionMining"))
    return AnswerOptions(show_stats=flag(named, "showStats"), unit=_unit(named.get("stringindextype")))


def options_of_task(query: Mapping[str, str], parameters: Any) -> AnswerOptions:
    """Those of the Language API: showStats in the query, the rest in the task's `parameters`; RequestError."""
    given = {} if parameters is None else parameters
    if not isinstance(given, dict):
        raise RequestError("InvalidRequestBodyFormat", '"parameters" must be an object.')
    for name in ("opinionMining", "loggingOptOut"):
        if not isinstance(given.get(name, False), bool | None):
            raise _bad(name, "true or false")
    _check_model(given.get("modelVersion"))
    _check_opinions(bool(given.get("opinionMining")))
    stats = flag({name.lower(): value for name, value in query.items()}, "showStats")
    return AnswerOptions(show_stats=stats, unit=_unit(given.get("stringIndexType")))


def flag(named: Mapping[str, str], name: str) -> bool:
    """A boolean of the query (`named` by lower-case names); RequestError."""
    value = named.get(name.lower(), "false").lower()
    if value not in ("true", "false"):
        raise _bad(name, "true or false")
    return value == "true"


def _unit(value: Any) -> str:
    if value is None:
        return DEFAULT_UNIT
    for unit in UNITS:
        if isinstance(value, str) and value.lower() == unit.lower():
            return unit
    raise _bad("stringIndexType", ", ".join(UNITS))


def _check_model(value: Any) -> None:
    if value not in (None, "latest", MODEL_VERSION):
        message = f"The model version {str(value)[:40]!r} is not here: use latest or {MODEL_VERSION}."
        raise RequestError("ModelVersionIncorrect", message)


def _check_opinions(wanted: bool) -> None:
    if wanted:
        message = "opinionMining is not built in this stand-in: it would need a parser of grammar. Leave it out."
        raise RequestError("InvalidParameterValue", message, code=INVALID_ARGUMENT)


def _bad(name: str, allowed: str) -> RequestError:
    return RequestError("InvalidParameterValue", f"The parameter {name} must be {allowed}.", code=INVALID_ARGUMENT)
