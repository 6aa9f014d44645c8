"""`NAME=VALUE` as operators write it on a command line, read into nested JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hub_tools.service import Json
from iot_core.errors import InputError

__all__ = ["parse_assignments"]


def parse_assignments(assignments: Sequence[str], option: str) -> Json:
    """`["a.b=5", "mode=eco"]` as `{"a": {"b": 5}, "mode": "eco"}`; values are JSON where they are, else text.

    Raises `InputError` that names the assignment.
    """
    document: Json = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        names = path.split(".")
        if not equals or not all(names):
            raise InputError(f"{option} {assignment}: write NAME=VALUE, for example reportingInterval=2.")
        _set(document, names, _value(text), f"{option} {assignment}")
    return document


def _set(document: Json, names: Sequence[str], value: Any, where: str) -> None:
    for name in names[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise InputError(f"{where}: {name} is set to a value elsewhere in the same command.")
    document[names[-1]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
