"""Twins with only the members that a condition reads: judging many twins costs little else than reading those.

A full twin takes five JSON documents to read; most conditions need one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from iot_core.json_types import JsonObject
from iot_core.query.ast import Step
from iot_core.twin import Section
from local_hub.json_text import load
from local_hub.rows import Record

__all__ = ["LightReader", "light_reader", "light_twin"]

_COLUMNS = ("device_id", "module_id")
_TEXTS: dict[tuple[str, ...], str] = {("status",): "status", ("modelId",): "model_id"}
_DOCUMENTS: dict[tuple[str, ...], str] = {("tags",): "tags", ("configurations",): "configurations"}
_SECTIONS = (("properties", "desired"), ("properties", "reported"))
_EDGE = ("capabilities", "iotEdge")


@dataclass(frozen=True, kw_only=True)
class LightReader:
    """``columns`` of a row of identities, and the document that they make.

    ``parts`` are the members with their columns; a section without its metadata has one column.
    """

    parts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*_COLUMNS, *(column for _, columns in self.parts for column in columns))

    def document(self, row: tuple[Any, ...]) -> JsonObject:
        """The partial twin of a row of ``columns``, of which the first two are always the ids."""
        document: JsonObject = {"deviceId": row[0]}
        if row[1]:
            document["moduleId"] = row[1]
        place = len(_COLUMNS)
        for part, columns in self.parts:
            if part in _SECTIONS and len(columns) == 1:
                document.setdefault("properties", {})[part[1]] = load(row[place])
            elif part in _SECTIONS:
                section = Section(load(row[place]), load(row[place + 1]), row[place + 2])
                document.setdefault("properties", {})[part[1]] = section.view()
            elif part == _EDGE:
                document["capabilities"] = {"iotEdge": bool(row[place])}
            elif part in _DOCUMENTS:
                document[part[0]] = load(row[place])
            else:
                document[part[0]] = row[place]
            place += len(columns)
        return document


def light_reader(paths: Iterable[tuple[Step, ...]]) -> LightReader | None:
    """The reader for conditions that mention those paths; None when it takes a full twin to judge them."""
    parts: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in paths:
        if path in (("deviceId",), ("moduleId",)):
            continue
        part = _part(path)
        if part is None:
            return None
        parts[part] = max(parts.get(part, ()), _columns_of(part, path), key=len)
    return LightReader(parts=tuple(parts.items()))


def light_twin(record: Record) -> JsonObject:
    """What target conditions may read of a twin: ids, tags and reported properties."""
    document: JsonObject = {
        "deviceId": record.identity.device_id,
        "tags": record.tags,
        "properties": {"reported": record.reported.view()},
    }
    return document | ({"moduleId": record.identity.module_id} if record.identity.module_id else {})


def _part(path: tuple[Step, ...]) -> tuple[str, ...] | None:
    for part in (*_TEXTS, *_DOCUMENTS, *_SECTIONS, _EDGE):
        if path[: len(part)] == part:
            return part
    return None


def _columns_of(part: tuple[str, ...], path: tuple[Step, ...]) -> tuple[str, ...]:
    if part in _SECTIONS:
        member = path[len(part)] if len(path) > len(part) else None
        if isinstance(member, str) and not member.startswith("$"):
            return (part[1],)
        return part[1], f"{part[1]}_metadata", f"{part[1]}_version"
    return (_TEXTS.get(part) or _DOCUMENTS.get(part) or "iot_edge",)
