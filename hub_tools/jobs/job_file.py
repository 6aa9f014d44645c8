"""A job in a file: YAML or JSON with the names of the options, or a Python program that makes a `JobSpec`.

    where: tags.building = 'B1'        # or group: NAME, or all: true
    desired:
      reportingInterval: 5
      oldSetting: null                 # deletes it
    tags:
      wave: 2
    confirm: properties.reported.firmware = '2.0'
    between: 02:00-05:00
    tz: Europe/Berlin

In Python, `job` is a JobSpec or a function that returns one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hub_tools.groups import EVERY_DEVICE, read_groups
from hub_tools.jobs.job import JobSpec, MethodCall, new_job_id
from hub_tools.jobs.window import Window
from hub_tools.programs import value_made_by
from iot_core.clock import from_iso
from iot_core.errors import InputError

__all__ = ["job_from_values", "moment", "read_job_file"]

FILE_BYTES = 1_000_000
_NAMES = frozenset(
    {
        *("id", "where", "group", "groups", "all", "desired", "tags", "method", "payload", "timeout", "c2d"),
        *("confirm", "wait", "start", "expires", "between", "tz", "reason"),
    }
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


def read_job_file(file: Path, *, now: float) -> JobSpec:
    """The job of a file; InputError with what is wrong and where."""
    if file.suffix == ".py":
        return value_made_by(file, "job", JobSpec)
    try:
        if file.stat().st_size > FILE_BYTES:
            raise InputError(f"{file} is larger than {FILE_BYTES} bytes: that is no job")
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{file} holds no job: write where: and desired:, for example")
    try:
        return job_from_values(values, now=now, folder=file.parent)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def job_from_values(values: Mapping[str, Any], *, now: float, folder: Path = Path()) -> JobSpec:
    """A job of names and values as they stand in a file; `groups` is a file in `folder`. InputError."""
    if unknown := values.keys() - _NAMES:
        raise InputError(f"a job has no {min(map(str, unknown))!r}; it has {', '.join(sorted(_NAMES))}")
    where, named = _population(values, folder)
    return JobSpec(
        job_id=str(values.get("id") or new_job_id()),
        where=where,
        named=named,
        desired=_object(values, "desired"),
        tags=_object(values, "tags"),
        method=_method(values),
        c2d=_optional_text(values, "c2d"),
        confirm=_optional_text(values, "confirm"),
        wait=values.get("wait", True) is not False,
        start=moment(values.get("start"), now, "start"),
        expires=moment(values.get("expires"), now, "expires"),
        window=_window(values),
        reason=str(values.get("reason") or ""),
    )


def moment(value: Any, now: float, name: str) -> float | None:
    """Unix seconds of `2026-03-01T02:00:00Z`, or of `30m`, `2h`, `1d` from now; InputError."""
    if value is None:
        return None
    text = str(value).strip().replace(" ", "T", 1)
    if match := _DURATION.fullmatch(text.removeprefix("+")):
        return now + float(match[1]) * _SECONDS[match[2]]
    try:
        return from_iso(text)
    except InputError:
        raise InputError(
            f"{name} {value}: write a time such as 2026-03-01T02:00:00Z, or 30m, 2h, 1d from now"
        ) from None


def _population(values: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    given = [name for name in ("where", "group", "all") if values.get(name)]
    if len(given) > 1:
        raise InputError(f"a job is for one population: give {' or '.join(given)}, not both")
    if values.get("all"):
        return EVERY_DEVICE, "every device"
    if values.get("group"):
        name = str(values["group"])
        file = folder / str(values.get("groups") or "groups.yaml")
        groups = read_groups(file)
        if name not in groups:
            raise InputError(f"there is no group {name!r} in {file}; there are {', '.join(groups) or 'none'}")
        return groups[name].condition, f"group {name} of {file.name}"
    where = str(values.get("where") or "")
    if where.strip() == EVERY_DEVICE:
        raise InputError("for every device of the hub say --all (in a file all: true): '*' is too easily typed")
    return where, "the condition"


def _object(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name) or {}
    if not isinstance(value, dict):
        raise InputError(f"{name} must be names with values")
    return value


def _method(values: Mapping[str, Any]) -> MethodCall | None:
    method = values.get("method")
    if method is None:
        if values.get("payload") is not None:
            raise InputError("a payload needs a method: --method NAME")
        return None
    if isinstance(method, dict):
        return MethodCall(name=str(method.get("name") or ""), payload=method.get("payload"))
    return MethodCall(name=str(method), payload=values.get("payload"))


def _window(values: Mapping[str, Any]) -> Window | None:
    between = values.get("between")
    if between is None:
        if values.get("tz"):
            raise InputError("a time zone needs hours: --between 02:00-05:00")
        return None
    return Window.parse(str(between), str(values.get("tz") or "UTC"))


def _optional_text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return None if value is None else str(value)
