"""Paths into twins and jobs: what their first names mean, and closures that read them.

The first name may be the collection's (`devices.deviceId`, `devices.jobs.jobId`); it is dropped. Root names are
written in any case and come out in their own spelling; names below them are case-sensitive.

Source of the rules: IoT Hub developer guide, "IoT Hub query language", "Queries for IoT Hub device and module twins"
and "Queries for IoT Hub jobs".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from iot_core.query.ast import Step
from iot_core.query.values import UNDEFINED, Document, Reader

__all__ = ["COLLECTIONS", "path_reader", "resolve"]

_TWIN_ROOTS: Final = (
    "deviceId moduleId etag deviceEtag status statusReason statusUpdateTime connectionState lastActivityTime "
    "connectionStateUpdatedTime cloudToDeviceMessageCount authenticationType x509Thumbprint modelId version tags "
    "properties capabilities deviceScope parentScopes configurations generationId managedBy"
)
_JOB_ROOTS: Final = (
    "deviceId moduleId jobId jobType status startTimeUtc endTimeUtc createdDateTimeUtc lastUpdatedDateTimeUtc outcome "
    "error"
)


def _roots(names: str, **others: str) -> dict[str, str]:
    return {name.lower(): name for name in names.split()} | others


COLLECTIONS: Final[dict[str, dict[str, str]]] = {
    "devices": _roots(_TWIN_ROOTS, id="deviceId"),
    "devices.modules": _roots(_TWIN_ROOTS, id="deviceId"),
    "devices.jobs": _roots(_JOB_ROOTS, id="jobId", createdtimeutc="createdDateTimeUtc"),
}
"""Name after FROM → lower-case root name → its own spelling."""


def resolve(collection: str, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Drop the collection's name in front and give the root name its own spelling."""
    steps = _without_collection(collection, steps)
    root = str(steps[0])
    return (COLLECTIONS[collection].get(root.lower(), root), *steps[1:])


def _without_collection(collection: str, steps: Sequence[Step]) -> Sequence[Step]:
    for prefix in (collection.split("."), ["devices"]):
        start = [str(step).lower() for step in steps[: len(prefix)]]
        if start == prefix and len(steps) > len(prefix):
            return steps[len(prefix) :]
    return steps


def path_reader(steps: tuple[Step, ...]) -> Reader:
    """The closure that reads a path: UNDEFINED where it leads nowhere."""
    if any(isinstance(step, int) for step in steps):
        return _read_any(steps)
    if len(steps) == 1:
        return _read_one(*steps)
    if len(steps) == 2:
        return _read_two(*steps)
    return _read_names(steps)


def _read_one(name: Step) -> Reader:
    def read(document: Any) -> Any:
        return document.get(name, UNDEFINED)

    return read


def _read_two(first: Step, second: Step) -> Reader:
    def read(document: Any) -> Any:
        try:
            return document[first][second]
        except (KeyError, TypeError):
            return UNDEFINED

    return read


def _read_names(names: tuple[Step, ...]) -> Reader:
    def read(document: Any) -> Any:
        value = document
        try:
            for name in names:
                value = value[name]
        except (KeyError, TypeError):
            return UNDEFINED
        return value

    return read


def _read_any(steps: tuple[Step, ...]) -> Reader:
    containers: list[tuple[type[Any], Any]] = [(list if isinstance(step, int) else dict, step) for step in steps]

    def read(document: Document) -> Any:
        value: Any = document
        for container, step in containers:
            if not isinstance(value, container):
                return UNDEFINED
            try:
                value = value[step]
            except (KeyError, IndexError):
                return UNDEFINED
        return value

    return read
