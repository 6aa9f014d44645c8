"""Files of devices, written so that reading one back changes nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hub_tools.concurrency import map_bounded
from hub_tools.devices.reading import FileFormat
from hub_tools.devices.record import DeviceRecord
from hub_tools.groups import EVERY_DEVICE
from hub_tools.service import HubService

__all__ = ["collect_records", "write_devices"]

READ_AT_ONCE = 16
_FIRST = ("deviceId", "status", "edge", "primaryKey", "secondaryKey")


async def collect_records(
    service: HubService,
    where: str = EVERY_DEVICE,
    *,
    desired: bool = False,
    keys: bool = False,
    on_progress: Callable[[int], None] = lambda count: None,
) -> list[DeviceRecord]:
    """The devices that match, by their ids; `keys` takes a read of each identity, and needs the right to."""
    condition = "" if where == EVERY_DEVICE else f" WHERE {where}"
    records: list[DeviceRecord] = []
    async for page in service.query_pages(f"SELECT * FROM devices{condition}"):
        rows = [DeviceRecord.of_twin(row, desired=desired) for row in page.rows]
        records += await _with_keys(service, rows) if keys else rows
        on_progress(len(records))
    return sorted(records, key=lambda record: record.device_id)


def write_devices(records: Sequence[DeviceRecord], kind: FileFormat) -> str:
    """The text of a file; JSON has a device a line."""
    if kind == "json":
        lines = ",\n".join(json.dumps(record.document(), ensure_ascii=False) for record in records)
        return f"[\n{lines}\n]\n" if records else "[]\n"
    rows = [record.cells() for record in records]
    output = io.StringIO(newline="")
    writer = csv.DictWriter(output, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return output.getvalue()


def _columns(rows: Iterable[dict[str, str]]) -> list[str]:
    """deviceId, status and edge always, keys where there are any, then tags and desired by name."""
    found = {name for row in rows for name in row}
    always = _FIRST[:3]
    return [name for name in _FIRST if name in always or name in found] + sorted(
        found - set(_FIRST), key=lambda name: (name.partition(".")[0] != "tags", name)
    )


async def _with_keys(service: HubService, records: Sequence[DeviceRecord]) -> list[DeviceRecord]:
    async def read(record: DeviceRecord) -> DeviceRecord:
        identity = await service.get_device(record.device_id)
        keys = identity.get("authentication", {}).get("symmetricKey") or {}
        return replace(record, primary_key=keys.get("primaryKey"), secondary_key=keys.get("secondaryKey"))

    return await map_bounded(read, records, at_once=READ_AT_ONCE)
