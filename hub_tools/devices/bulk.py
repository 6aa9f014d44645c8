"""Bulk calls of the registry, a hundred devices each, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from hub_tools.service import HubService, Json
from iot_core import limits

__all__ = ["BulkProblem", "change_in_bulk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkProblem:
    """What the hub did not do with a device: `code` as in ``DeviceNotFound``, and its reason.

    With `warning` the device itself is there and only its twin could not be written.
    """

    device_id: str
    code: str
    reason: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.device_id}: {self.code}: {self.reason}"


async def change_in_bulk(
    service: HubService, items: Iterable[Json], *, on_progress: Callable[[int], None] = lambda count: None
) -> list[BulkProblem]:
    """Applies all items and returns what went wrong; `on_progress` gets the number done after each call.

    The throttle counts every item as an operation of the registry: calls refused with 429 are made again. HubError and
    HubUnreachableError end it; the calls before have had their effect.
    """
    problems: list[BulkProblem] = []
    done = 0
    for chunk in _chunks(items):
        result = await service.change_devices(chunk)
        problems += [_problem(row, "errorCode", "errorStatus") for row in result.errors]
        problems += [_problem(row, "warningCode", "warningStatus", warning=True) for row in result.warnings]
        done += len(chunk)
        on_progress(done)
    return problems


def _chunks(items: Iterable[Json]) -> Iterator[Sequence[Json]]:
    rest = iter(items)
    while chunk := list(islice(rest, limits.BULK_DEVICES_MAX)):
        yield chunk


def _problem(row: Json, code: str, reason: str, *, warning: bool = False) -> BulkProblem:
    return BulkProblem(
        device_id=str(row.get("deviceId", "")),
        code=str(row.get(code, "")),
        reason=str(row.get(reason) or ""),
        warning=warning,
    )
