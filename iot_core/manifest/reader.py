"""Reading single values out of a manifest; each function raises ManifestError with the path of what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = [
    "ENV_NAME",
    "MODULE_NAME",
    "ROUTE_NAME",
    "check_name",
    "choice",
    "environment",
    "image",
    "integer",
    "only_keys",
    "optional_object",
    "required_object",
    "schema_version",
    "text",
]

MODULE_NAME = re.compile(r"[A-Za-z0-9_-]+")
ROUTE_NAME = re.compile(r"[^.$# ]+")
ENV_NAME = re.compile(r"[^+#$\s.]+")
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
# The agent's own check, looser than Docker's; "name@sha256:…" passes because @ is an ordinary character in it.
_IMAGE = re.compile(r"(?:[^\s/]+/)*[^\s/:]+(?::[^\s/:]+)?")

_Text = TypeVar("_Text", bound=str)


def required_object(parent: Mapping[str, Any], key: str, path: str) -> JsonObject:
    if key not in parent:
        raise ManifestError("is missing", path=f"{path}.{key}")
    return optional_object(parent, key, path)


def optional_object(parent: Mapping[str, Any], key: str, path: str) -> JsonObject:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise ManifestError("must be an object", path=f"{path}.{key}")
    return value


def text(parent: Mapping[str, Any], key: str, path: str, *, default: str | None = None) -> str:
    value = parent.get(key, default)
    if value is None:
        raise ManifestError("is missing", path=f"{path}.{key}")
    if not isinstance(value, str):
        raise ManifestError("must be text", path=f"{path}.{key}")
    return value


def choice(
    parent: Mapping[str, Any], key: str, path: str, allowed: tuple[_Text, ...], *, default: _Text | None = None
) -> _Text:
    value = text(parent, key, path, default=default)
    for candidate in allowed:
        if value == candidate:
            return candidate
    raise ManifestError(f"{value[:40]!r} is not one of {', '.join(allowed)}", path=f"{path}.{key}")


def integer(
    parent: Mapping[str, Any], key: str, path: str, lowest: int, highest: int, *, default: int | None = None
) -> int:
    if key not in parent and default is not None:
        return default
    value = parent.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ManifestError(f"must be a whole number from {lowest} to {highest}", path=f"{path}.{key}")
    return value


def environment(module: Mapping[str, Any], path: str) -> dict[str, str]:
    """{"NAME": {"value": …}} as text; numbers and booleans as JSON writes them, null as empty text."""
    values: dict[str, str] = {}
    entries, path = optional_object(module, "env", path), f"{path}.env"
    for name in entries:
        check_name(name, ENV_NAME, path, "any characters but + # $ . and white space")
        value = optional_object(entries, name, path).get("value")
        if isinstance(value, dict | list):
            raise ManifestError("must be text, a number or true or false", path=f"{path}.{name}.value")
        values[name] = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return values


def image(settings: Mapping[str, Any], path: str) -> str:
    value = text(settings, "image", path).strip()
    if _IMAGE.fullmatch(value) is None:
        raise ManifestError(f"{value[:200]!r} is not an image such as registry/name:tag", path=f"{path}.image")
    return value


def check_name(name: str, pattern: re.Pattern[str], path: str, rule: str) -> None:
    if pattern.fullmatch(name) is None:
        raise ManifestError(f"{name[:80]!r} is not a name: use {rule}", path=path)


def only_keys(value: Iterable[str], allowed: frozenset[str], path: str) -> None:
    """Refuses a key that is not known, which most often is a known one misspelt."""
    for key in value:
        if key not in allowed:
            raise ManifestError(f"is not known here: use {', '.join(sorted(allowed))}", path=f"{path}.{key}")


def schema_version(
    desired: Mapping[str, Any], path: str, allowed: tuple[tuple[int, int], ...], *, third_part_zero: bool
) -> tuple[int, int]:
    """Major and minor of schemaVersion "1.1" or "1.1.0".

    With `third_part_zero` nothing above the highest version is taken, "1.1.1" neither: the agent's rule, not the hub's.
    """
    value = text(desired, "schemaVersion", path)
    match = _VERSION.fullmatch(value)
    version = (int(match[1]), int(match[2])) if match is not None else None
    last = third_part_zero and match is not None and version == allowed[-1] and int(match[3] or 0) > 0
    if version not in allowed or version is None or last:
        known = ", ".join(f"{major}.{minor}" for major, minor in allowed)
        raise ManifestError(f"{value[:20]!r} is not supported: use one of {known}", path=f"{path}.schemaVersion")
    return version
