"""What a rule says, before it is known which rule said it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from iot_core.errors import ManifestError
from iot_core.manifest.findings import Severity

__all__ = ["Note", "attempt", "error", "info", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A finding without the id of its rule."""

    severity: Severity
    path: str
    message: str
    fix: str


def error(path: str, message: str, fix: str) -> Note:
    return Note(severity=Severity.ERROR, path=path, message=message, fix=fix)


def warning(path: str, message: str, fix: str) -> Note:
    return Note(severity=Severity.WARNING, path=path, message=message, fix=fix)


def info(path: str, message: str, fix: str) -> Note:
    return Note(severity=Severity.INFO, path=path, message=message, fix=fix)


def attempt(fix: str, check: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Note]:
    """Calls a check that raises ManifestError, and turns what it raises into a note."""
    try:
        check(*arguments, **options)
    except ManifestError as refused:
        yield error(refused.path, str(refused.args[0]), fix)
