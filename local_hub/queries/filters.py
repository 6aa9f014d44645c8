"""The part of a query's condition that SQLite can judge, so that most documents never have to be built.

What SQLite lets through is a superset of what the query takes: the query itself still judges every document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iot_core.query import Condition
from local_hub.json_text import dump

__all__ = ["DOUBT", "Filter", "exact_filter", "filter_of", "job_column", "json_column", "twin_column"]

Value = str | int | float | bool
_SQLITE_INTEGERS = range(-(2**63), 2**63)
_TWIN_ROOTS: dict[tuple[str, ...], str] = {
    ("deviceId",): "device_id",
    ("moduleId",): "module_id",
    ("status",): "status",
    ("modelId",): "model_id",
    ("capabilities", "iotEdge"): "iot_edge",
    ("properties", "desired", "$version"): "desired_version",
    ("properties", "reported", "$version"): "reported_version",
}
_JSON_COLUMNS: dict[tuple[str, ...], str] = {
    ("tags",): "tags",
    ("properties", "desired"): "desired",
    ("properties", "reported"): "reported",
    ("configurations",): "configurations",
}
_JOB_COLUMNS: dict[tuple[str, ...], str] = {
    ("deviceId",): "d.device_id",
    ("moduleId",): "d.module_id",
    ("jobId",): "d.job_id",
    ("jobType",): "j.type",
    ("status",): "d.status",
}
_LIKE_CONTAINERS = ("{", "[")
"""How texts begin that an object or array can look like: json_extract gives those as their JSON."""
DOUBT = r"instr(tags, '\u0000') + instr(desired, '\u0000') + instr(reported, '\u0000')"
"""Above 0 for a twin with a text that holds U+0000, where some versions of SQLite take it to end."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """SQL conditions, to be joined by AND, and their parameters."""

    conditions: tuple[str, ...] = ()
    parameters: tuple[Value, ...] = ()


def filter_of(condition: Condition, column: Callable[[tuple[str, ...]], str | None]) -> Filter:
    """The filter for what ``column`` can name."""
    conditions: list[str] = []
    parameters: list[Value] = []
    for path, value in condition.equalities:
        expression = column(path)
        if expression is not None and _bindable(value):
            conditions.append(f"{expression} = ?")
            parameters.append(value)
    for path, values in condition.memberships:
        expression = column(path)
        if expression is not None and all(map(_bindable, values)):
            conditions.append(f"{expression} IN (SELECT value FROM json_each(?))")
            parameters.append(dump(list(values)))
    return Filter(conditions=tuple(conditions), parameters=tuple(parameters))


def exact_filter(condition: Condition) -> Filter | None:
    """The filter that lets through what the condition takes and nothing else, but for rows where ``DOUBT`` is above 0;
    None when only the condition itself can tell.
    """
    for path, value in condition.equalities:
        if json_column(path) is None or not _bindable(value) or not _is_alone(value):
            return None
    return filter_of(condition, twin_column) if condition.only_equalities else None


def twin_column(path: tuple[str, ...]) -> str | None:
    """The SQL expression for a path into a twin; None when there is none."""
    return _TWIN_ROOTS.get(path) or json_column(path)


def json_column(path: tuple[str, ...]) -> str | None:
    """The SQL expression for a path into a twin's tags, properties or configurations; None for any other."""
    for root, column in _JSON_COLUMNS.items():
        names = path[len(root) :]
        if path[: len(root)] == root and names and all(map(_plain, names)):
            return f"json_extract({column}, '$.{'.'.join(_quoted(names))}')"
    return None


def job_column(path: tuple[str, ...]) -> str | None:
    """The SQL expression for a path into a row of devices.jobs; None when there is none."""
    return _JOB_COLUMNS.get(path)


def _plain(name: str) -> bool:
    """Whether a name can stand in an SQL text as a JSON path: nothing in it could end the path or the text."""
    return name.replace("_", "").replace("-", "").isalnum() and name.isascii()


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _is_alone(value: Value) -> bool:
    """Whether json_extract gives the value for nothing else in JSON: 1 and 0 are true and false too."""
    if isinstance(value, str):
        return value[:1] not in _LIKE_CONTAINERS
    return value not in (0, 1)


def _bindable(value: Value) -> bool:
    """Whether SQLite finds every place where the value is: some of its versions end texts at U+0000, and it need not
    read the digits of a fraction as Python does.
    """
    if isinstance(value, str):
        return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return value.is_integer()
    return value in _SQLITE_INTEGERS
