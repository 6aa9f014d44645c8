"""Secrets by reference: what a manifest says instead of a secret, and how it gets its value when it is applied.

`secret("TEXT_ANALYTICS_KEY")` is text with a mark in it, so it can stand wherever text can, also inside other text:
`f"Key={secret('KEY')}"`. Only `resolve` puts values in; everything that is printed, compared or stored keeps the marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from iot_core.errors import InputError

__all__ = ["SECRET", "resolve", "secret", "secret_names"]

SECRET = re.compile(r"\{\{secret:([A-Za-z0-9][A-Za-z0-9_-]{0,126})\}\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,126}")


def secret(name: str) -> str:
    """A reference to the secret `name` (letters, digits, _ and -); InputError for another name."""
    if _NAME.fullmatch(name) is None:
        raise InputError(f"secret {name[:40]!r}: a name has letters, digits, _ and -, at most 127 of them")
    return f"{{{{secret:{name}}}}}"


def secret_names(value: Any) -> set[str]:
    """The names of all secrets that a JSON value refers to."""
    if isinstance(value, str):
        return set(SECRET.findall(value))
    if isinstance(value, dict):
        return {name for item in value.values() for name in secret_names(item)}
    if isinstance(value, list):
        return {name for item in value for name in secret_names(item)}
    return set()


def resolve(value: Any, value_of: Callable[[str], str]) -> Any:
    """A JSON value with each reference replaced by `value_of(name)`; what is given stays as it is."""
    if isinstance(value, str):
        return SECRET.sub(lambda match: value_of(match[1]), value)
    if isinstance(value, dict):
        return {name: resolve(item, value_of) for name, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, value_of) for item in value]
    return value
