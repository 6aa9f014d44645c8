"""The devices that a job matches: counted first, then read page by page, with only the columns that the job needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappush, heappushpop
from typing import Any

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.job import JobSpec, TwinPath, value_at
from hub_tools.jobs.timing import Pace
from hub_tools.service import HubService, Json
from iot_core.clock import UNSET_TIME, from_iso
from iot_core.errors import InputError
from iot_core.limits import QUERY_CHARACTERS
from iot_core.query import compile_condition
from iot_core.query.ast import mentioned_paths
from iot_core.query.parser import parse_condition

__all__ = [
    "PAGE",
    "Columns",
    "DevicePage",
    "DeviceRow",
    "Sketch",
    "class_key",
    "count",
    "id_conditions",
    "read_devices",
]

PAGE = 1000
"""Rows asked for in a page; the service may give fewer (its documentation named 1000, later 100): what comes counts."""
QUERY_BUDGET_CHARACTERS = 7000
"""Room for device ids in one query; the rest of the 8192 characters is for what else stands in it."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRow:
    """A device as the index of queries shows it, or its twin.

    `previous` and `versions` are by touched path: the value (None where there is none) and the version of the desired
    section that wrote it (None where unknown; tags have none). `version` is that of the whole section. `reported`
    holds the reported property of each desired one. `why` has the values that the condition asks for, `tag` that of one
    more tag, where `Columns` was told its name. `matches` is
    False only for a twin that was read by itself and that the job's condition leaves out.
    """

    device_id: str
    etag: str
    connected: bool
    last_seen: float | None
    version: int
    previous: Mapping[str, Any]
    versions: Mapping[str, int | None]
    reported: Json
    why: Json
    holds: bool
    tag: Any = None
    matches: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class DevicePage:
    """Rows of one answer and its size."""

    rows: list[DeviceRow]
    size_bytes: int
    last: bool


class Columns:
    """What a job has to know of each device: a select list, and how a row is read."""

    def __init__(self, spec: JobSpec, *, tag: str = "") -> None:
        self._spec = spec
        self._tag = tag
        self._paths = spec.touched
        self._names = list(spec.desired)
        self._tags = list(spec.tags)
        self._why = [] if spec.where.strip() == EVERY_DEVICE else _tag_paths(spec.where)
        self._matches = compile_condition(spec.where)

    @property
    def select(self) -> str:
        """The part of a query between SELECT and FROM."""
        columns = ["deviceId", "etag", "connectionState", "lastActivityTime"]
        if self._names:
            columns.append("properties.desired.$version AS v")
        for number, name in enumerate(map(_quoted, self._names)):
            columns.append(f"properties.desired.{name} AS d{number}")
            columns.append(f"properties.desired.$metadata.{name} AS m{number}")
            columns.append(f"properties.reported.{name} AS r{number}")
        columns += [f"tags.{_quoted(name)} AS t{number}" for number, name in enumerate(self._tags)]
        columns += [f"{'.'.join(map(_quoted, path))} AS w{number}" for number, path in enumerate(self._why)]
        columns += [f"tags.{_quoted(self._tag)} AS tag"] if self._tag else []
        return ", ".join(columns)

    def read_twin(self, twin: Json) -> DeviceRow:
        """A device of its whole twin, which unlike the index of queries does not lag."""
        desired = twin["properties"]["desired"]
        metadata: Any = desired.get("$metadata") or {}
        names = ("deviceId", "etag", "connectionState", "lastActivityTime")
        row: Json = {name: twin.get(name) for name in names} | {"v": desired.get("$version")}
        for number, name in enumerate(self._names):
            row |= {f"d{number}": desired.get(name), f"m{number}": metadata.get(name)}
            row[f"r{number}"] = (twin["properties"].get("reported") or {}).get(name)
        row |= {f"t{number}": (twin.get("tags") or {}).get(name) for number, name in enumerate(self._tags)}
        row |= {f"w{number}": value_at(twin, path) for number, path in enumerate(self._why)}
        return replace(self.read(row), matches=self._matches(twin))

    def read(self, row: Json) -> DeviceRow:
        """A device of a row that `select` asked for."""
        desired = {name: row.get(f"d{number}") for number, name in enumerate(self._names)}
        metadata = {name: row.get(f"m{number}") for number, name in enumerate(self._names)}
        tags = {name: row.get(f"t{number}") for number, name in enumerate(self._tags)}
        previous: dict[str, Any] = {}
        versions: dict[str, int | None] = {}
        for path in self._paths:
            place = _place(desired if path.section == "desired" else tags, path)
            previous[str(place)] = value_at(desired if place.section == "desired" else tags, place.names)
            written = value_at(metadata, place.names) if place.section == "desired" else None
            versions[str(place)] = written.get("$lastUpdatedVersion") if isinstance(written, dict) else None
        return DeviceRow(
            device_id=str(row["deviceId"]),
            etag=str(row.get("etag") or ""),
            connected=row.get("connectionState") == "Connected",
            last_seen=_time(row.get("lastActivityTime")),
            version=int(row.get("v") or 0),
            previous=previous,
            versions=versions,
            reported={name: row.get(f"r{number}") for number, name in enumerate(self._names)},
            why={".".join(map(str, path)): row.get(f"w{number}") for number, path in enumerate(self._why)},
            tag=row.get("tag"),
            holds=bool(self._paths) and all(previous.get(str(path)) == self._spec.target(path) for path in self._paths),
        )


async def count(service: HubService, condition: str) -> int:
    """How many devices a condition matches: one query, whatever their number."""
    rows = [row async for row in service.query(_query("COUNT() AS n", condition))]
    return int(rows[0]["n"]) if rows else 0


async def read_devices(
    service: HubService,
    spec: JobSpec,
    condition: str | None = None,
    *,
    page_size: int = PAGE,
    pace: Pace | None = None,
    tag: str = "",
) -> AsyncIterator[DevicePage]:
    """The devices of a job, or of another condition with the job's columns, page after page, each at its turn."""
    columns = Columns(spec, tag=tag)
    text = _query(columns.select, condition or spec.where)
    if pace is not None:
        await pace.turn()
    async for page in service.query_pages(text, page_size=page_size):
        rows = [columns.read(row) for row in page.rows]
        yield DevicePage(rows=rows, size_bytes=page.size_bytes, last=page.continuation is None)
        if pace is not None and page.continuation is not None:
            await pace.turn()


def id_conditions(devices: Iterable[str], *, budget: int = QUERY_BUDGET_CHARACTERS) -> Iterator[tuple[str, list[str]]]:
    """Conditions `deviceId IN [...]` that name all devices, with those that each names, short enough for a query."""
    chunk: list[str] = []
    ids: list[str] = []
    length = 0
    for device in devices:
        quoted = "'" + device.replace("'", "''") + "'"
        if chunk and length + len(quoted) + 1 > budget:
            yield f"deviceId IN [{','.join(chunk)}]", ids
            chunk, ids, length = [], [], 0
        chunk.append(quoted)
        ids.append(device)
        length += len(quoted) + 1
    if chunk:
        yield f"deviceId IN [{','.join(chunk)}]", ids


class Sketch:
    """A set of devices by the smallest hashes of their ids: enough to tell how far two sets have drifted apart.

    Exact up to `SIZE` devices, an estimate from a sample of that many above.
    """

    SIZE = 4096

    def __init__(self, hashes: Sequence[int] = (), total: int = 0) -> None:
        self._heap: list[int] = []
        self.total = 0
        for value in hashes:
            self._push(value)
        self.total = total

    def add(self, device_id: str) -> None:
        """Count a device; each once."""
        self._push(int.from_bytes(hashlib.blake2b(device_id.encode(), digest_size=6).digest(), "big"))
        self.total += 1

    def drift(self, later: Sketch) -> float:
        """The share of all devices, of before and after, that are only in one of the two sets."""
        mine, theirs = self._hashes, later._hashes
        smallest = sorted(mine | theirs)[: self.SIZE] if max(self.total, later.total) > self.SIZE else mine | theirs
        if not smallest:
            return 0.0
        return sum(1 for value in smallest if (value in mine) != (value in theirs)) / len(smallest)

    def to_json(self) -> Json:
        """For a plan's file."""
        return {"total": self.total, "hashes": "".join(f"{value:012x}" for value in sorted(self._hashes))}

    @classmethod
    def from_json(cls, document: Json) -> Sketch:
        """What `to_json` wrote."""
        text = document["hashes"]
        return cls([int(text[place : place + 12], 16) for place in range(0, len(text), 12)], document["total"])

    @property
    def _hashes(self) -> set[int]:
        return {-value for value in self._heap}

    def _push(self, value: int) -> None:
        if len(self._heap) < self.SIZE:
            heappush(self._heap, -value)
        else:
            heappushpop(self._heap, -value)


def _query(select: str, condition: str) -> str:
    where = "" if condition.strip() == EVERY_DEVICE else f" WHERE {condition}"
    text = f"SELECT {select} FROM devices{where}"
    if len(text) > QUERY_CHARACTERS:
        raise InputError(
            f"the query for this job has {len(text)} characters and a hub takes {QUERY_CHARACTERS}: "
            "shorten the condition, or set fewer properties in one job"
        )
    return text


def _place(section: Json, path: TwinPath) -> TwinPath:
    """The path itself, or the value above it that is no object and would be replaced by one."""
    for depth in range(1, len(path.names)):
        above = value_at(section, path.names[:depth])
        if above is not None and not isinstance(above, dict):
            return TwinPath(path.section, path.names[:depth])
    return path


def _tag_paths(condition: str) -> list[tuple[str, ...]]:
    """The tags that a condition asks for."""
    paths = mentioned_paths(parse_condition(condition)[1])
    names = [tuple(map(str, path)) for path in paths if all(isinstance(step, str) for step in path)]
    return list(dict.fromkeys(path for path in names if path[0] == "tags" and len(path) > 1))


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name != "group" else f"[[{name}]]"


def _time(text: Any) -> float | None:
    if not isinstance(text, str) or text.rstrip("Z") == UNSET_TIME.rstrip("Z"):
        return None
    return from_iso(text)


def class_key(previous: Mapping[str, Any]) -> str:
    """Devices with the same key see the same difference."""
    return json.dumps(previous, sort_keys=True)
