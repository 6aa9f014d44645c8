"""Files of devices, read: every bad line is told with its number, and the good ones are kept.

CSV has a header with `deviceId` and any of `status`, `edge`, `primaryKey`, `secondaryKey`, `tags.NAME…` and
`desired.NAME…`; a cell is JSON where it can be read as JSON, else text; an empty one leaves the value alone, `null`
deletes it. JSON is an array of objects `{"deviceId", "status", "edge", "tags": {…}, "desired": {…}, "primaryKey", …}`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hub_tools.devices.record import DeviceRecord, value_of
from hub_tools.service import Json
from iot_core.errors import InputError
from iot_core.identity import decode_key, validate_device_id
from iot_core.twin import validate_section

__all__ = ["DeviceFile", "FileFormat", "LineError", "format_of", "parse_devices", "read_devices"]

FileFormat = Literal["csv", "json"]
FILE_BYTES = 1_000_000_000
"""A file of a million devices has some 200 MB; a larger one is a mistake."""
STATUSES = ("enabled", "disabled")
_FIELDS = frozenset({"deviceId", "status", "edge", "primaryKey", "secondaryKey"})
_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True, kw_only=True, slots=True)
class LineError:
    """What is wrong in a line of the file, and which device it is about, where that can be said."""

    line: int
    message: str
    device_id: str = ""

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class DeviceFile:
    """The records of a file and the lines that are none."""

    records: list[DeviceRecord]
    errors: list[LineError]


def format_of(file: Path) -> FileFormat:
    """By the suffix; InputError for another than .csv and .json."""
    match file.suffix.lower():
        case ".csv":
            return "csv"
        case ".json":
            return "json"
    raise InputError(f"{file}: name a .csv or .json file, or say --format")


def read_devices(file: Path, kind: FileFormat | None = None) -> DeviceFile:
    """The devices of a file; InputError when it cannot be read, or is no such file as a whole."""
    try:
        if file.stat().st_size > FILE_BYTES:
            raise InputError(f"{file} is larger than {FILE_BYTES} bytes: split it")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: {error}") from None
    try:
        return parse_devices(text, kind or format_of(file))
    except InputError as error:
        raise InputError(f"{file}: {error}" if str(file) not in str(error) else str(error)) from None


def parse_devices(text: str, kind: FileFormat) -> DeviceFile:
    """The devices of a text; InputError when it is none such as a whole."""
    records: dict[str, DeviceRecord] = {}
    errors: list[LineError] = []
    for line, entry in _csv_entries(text) if kind == "csv" else _json_entries(text):
        device_id = str(entry.get("deviceId") or "") if isinstance(entry, dict) else ""
        try:
            record = _record(entry, line)
            if record.device_id in records:
                raise InputError(f"{device_id} stands in line {records[device_id].line} already")
            records[device_id] = record
        except InputError as error:
            errors.append(LineError(line=line, message=str(error), device_id=device_id))
    return DeviceFile(records=list(records.values()), errors=errors)


def _csv_entries(text: str) -> Iterator[tuple[int, Any]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(rows, [])]
    _check_header(header)
    line = rows.line_num + 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield line, _nested(header, row)
            line = rows.line_num + 1
    except csv.Error as error:
        raise InputError(f"line {line}: {error}") from None


def _check_header(header: list[str]) -> None:
    if "deviceId" not in header:
        raise InputError("the first line must name the columns, deviceId among them")
    for name in header:
        section, dot, rest = name.partition(".")
        if name not in _FIELDS and not (section in ("tags", "desired") and dot and all(rest.split("."))):
            raise InputError(f"column {name!r} is none of {', '.join(sorted(_FIELDS))}, tags.NAME and desired.NAME")
    if len(set(header)) != len(header):
        raise InputError("two columns have the same name")


def _nested(header: list[str], row: list[str]) -> Json | str:
    """The row as an entry of a JSON file; a text that says what is wrong with it."""
    if len(row) != len(header):
        return f"{len(row)} cells for {len(header)} columns"
    entry: Json = {}
    for name, cell in zip(header, row, strict=True):
        if not cell.strip():
            continue
        *sections, leaf = name.split(".")
        place = entry
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                return f"{name} lies in {section}, which has a value of its own"
        place[leaf] = value_of(cell) if sections else cell.strip()
    return entry


def _json_entries(text: str) -> Iterator[tuple[int, Any]]:
    """The elements of an array with the line each begins in."""
    decoder = json.JSONDecoder()
    at, line = _skipped(text, 0), 1 + text[: _skipped(text, 0)].count("\n")
    if text[at : at + 1] != "[":
        raise InputError('write an array of devices: [{"deviceId": "…"}, …]')
    previous, at = at, _skipped(text, at + 1)
    while text[at : at + 1] != "]":
        line += text.count("\n", previous, at)
        try:
            entry, end = decoder.raw_decode(text, at)
        except ValueError as error:
            raise InputError(f"line {line}: not JSON: {error}") from None
        yield line, entry
        previous, at = at, _skipped(text, end)
        if text[at : at + 1] == ",":
            at = _skipped(text, at + 1)
        elif text[at : at + 1] != "]":
            raise InputError(f"line {line}: after this device a comma or the end of the array is missing")


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _record(entry: Any, line: int) -> DeviceRecord:
    """Raises InputError for whatever the hub would refuse."""
    if isinstance(entry, str):
        raise InputError(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("deviceId"), str):
        raise InputError("a device needs its deviceId, a text")
    if unknown := set(entry) - _FIELDS - {"tags", "desired"}:
        raise InputError(
            f"{', '.join(sorted(unknown))}: not known; write tags and desired properties under these names"
        )
    validate_device_id(entry["deviceId"])
    status = entry.get("status")
    if status is not None and status not in STATUSES:
        raise InputError(f"status {str(status)[:40]!r} is none of {', '.join(STATUSES)}")
    primary, secondary = (_key(entry, name) for name in ("primaryKey", "secondaryKey"))
    if (primary is None) != (secondary is None):
        raise InputError("give both keys, primaryKey and secondaryKey, or none")
    return DeviceRecord(
        device_id=entry["deviceId"],
        status=status,
        edge=_flag(entry.get("edge")),
        tags=_section(entry, "tags"),
        desired=_section(entry, "desired"),
        primary_key=primary,
        secondary_key=secondary,
        line=line,
    )


def _section(entry: Json, name: Literal["tags", "desired"]) -> Json:
    section = entry.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise InputError(f"{name} must be an object")
    validate_section(name, section)
    return section


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise InputError(f"edge {str(value)[:40]!r} is neither yes nor no")
    return text in _TRUE


def _key(entry: Json, name: str) -> str | None:
    key = entry.get(name)
    if key is None:
        return None
    try:
        decode_key(key)
    except (InputError, TypeError, AttributeError):
        raise InputError(f"{name} is no key: base64 of 16 to 64 bytes") from None
    return str(key)
