"""Configurations and the queue of devices to judge anew, as rows."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from iot_core.clock import iso
from iot_core.configurations import Configuration, Content, Rules, Settings, compile_target
from iot_core.configurations.content import KINDS
from iot_core.json_types import JsonObject
from local_hub.json_text import dump, load

__all__ = ["Entry"]

_NAMES = (
    *("creation", "id", "etag", "schema_version", "labels", "priority", "target_condition", "content", "metrics"),
    *("results", "created", "updated"),
)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM configurations"

Metrics = dict[str, dict[str, int]]
"""``{"metrics": {name: count}, "systemMetrics": {name: count}}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored configuration; times are unix seconds. ``results`` is None before its first pass."""

    creation: int
    id: str
    etag_number: int
    settings: Settings
    results: Metrics | None
    created: float
    updated: float

    @property
    def etag(self) -> str:
        """``MQ==`` for the first."""
        return base64.b64encode(str(self.etag_number).encode("ascii")).decode("ascii")

    @property
    def configuration(self) -> Configuration:
        """The part that rules work with."""
        return Configuration(
            id=self.id,
            order=self.creation,
            priority=self.settings.priority,
            target=self.settings.target,
            content=self.settings.content,
        )

    def document(self, system_queries: JsonObject, results: Metrics | None) -> JsonObject:
        """A Configuration, as the REST API prints it."""
        results = results or {}
        return {
            "id": self.id,
            "schemaVersion": self.settings.schema_version,
            "labels": self.settings.labels,
            "content": self.settings.content.document,
            "targetCondition": self.settings.target_condition,
            "createdTimeUtc": iso(self.created),
            "lastUpdatedTimeUtc": iso(self.updated),
            "priority": self.settings.priority,
            "systemMetrics": {"queries": system_queries, "results": results.get("systemMetrics", {})},
            "metrics": {"queries": dict(self.settings.metrics), "results": results.get("metrics", {})},
            "etag": self.etag,
        }


def find(connection: sqlite3.Connection, configuration_id: str) -> Entry | None:
    """A configuration; None when there is none of that id."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (configuration_id,)).fetchone()
    return _from_row(row) if row else None


def select(connection: sqlite3.Connection) -> list[Entry]:
    """Every configuration, in the order of their ids."""
    return [_from_row(row) for row in connection.execute(f"{_SELECT} ORDER BY id")]


def count(connection: sqlite3.Connection) -> int:
    """How many there are."""
    return int(connection.execute("SELECT count(*) FROM configurations").fetchone()[0])


def insert(connection: sqlite3.Connection, configuration_id: str, settings: Settings, now: float) -> Entry:
    """Add a configuration."""
    creation = connection.execute(
        "INSERT INTO configurations (id, etag, schema_version, labels, priority, target_condition, reads_reported, "
        "content, metrics, created, updated) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING creation",
        (configuration_id, *_changeable(settings), dump(settings.content.document), _metrics(settings), now, now),
    ).fetchone()[0]
    return Entry(
        creation=creation,
        id=configuration_id,
        etag_number=1,
        settings=settings,
        results=None,
        created=now,
        updated=now,
    )


def update(connection: sqlite3.Connection, entry: Entry, settings: Settings, now: float) -> Entry:
    """Write what may change of a configuration; its etag moves."""
    after = replace(entry, settings=settings, etag_number=entry.etag_number + 1, updated=now)
    connection.execute(
        "UPDATE configurations SET schema_version = ?, labels = ?, priority = ?, target_condition = ?, "
        "reads_reported = ?, metrics = ?, etag = ?, updated = ? WHERE id = ?",
        (*_changeable(settings), _metrics(settings), after.etag_number, now, entry.id),
    )
    return after


def delete(connection: sqlite3.Connection, configuration_id: str) -> None:
    """Remove a configuration."""
    connection.execute("DELETE FROM configurations WHERE id = ?", (configuration_id,))


def set_results(connection: sqlite3.Connection, results: Sequence[tuple[str, Metrics]]) -> None:
    """Keep the metrics of a pass, by configuration id."""
    rows = [(dump(metrics), one) for one, metrics in results]
    connection.executemany("UPDATE configurations SET results = ? WHERE id = ?", rows)


class RulesReader:
    """The rules of a connection's moment, read again only when a configuration has changed."""

    def __init__(self) -> None:
        self._cached: tuple[list[tuple[int, int]], Rules] = ([], Rules(()))

    def rules(self, connection: sqlite3.Connection) -> Rules:
        """The rules of the configurations that are there now."""
        rows = connection.execute("SELECT creation, etag FROM configurations ORDER BY creation").fetchall()
        state, rules = self._cached
        if rows != state:
            rules = Rules(entry.configuration for entry in select(connection))
            self._cached = rows, rules
        return rules


def queue(connection: sqlite3.Connection, device_ids: Sequence[str]) -> None:
    """Ask for devices to be judged anew."""
    connection.execute("INSERT OR IGNORE INTO configuration_queue SELECT value FROM json_each(?)", (dump(device_ids),))


def queued(connection: sqlite3.Connection, count: int) -> list[str]:
    """The next devices to judge."""
    return [one for (one,) in connection.execute("SELECT device_id FROM configuration_queue LIMIT ?", (count,))]


def unqueue(connection: sqlite3.Connection, device_ids: Sequence[str]) -> None:
    """Note that devices are judged."""
    connection.execute(
        "DELETE FROM configuration_queue WHERE device_id IN (SELECT value FROM json_each(?))", (dump(device_ids),)
    )


def is_queued(connection: sqlite3.Connection, device_id: str) -> bool:
    """Whether a device waits to be judged."""
    query = "SELECT 1 FROM configuration_queue WHERE device_id = ?"
    return connection.execute(query, (device_id,)).fetchone() is not None


def _changeable(settings: Settings) -> tuple[Any, ...]:
    labels = None if settings.labels is None else dump(settings.labels)
    reads_reported = int(settings.target.reads_reported)
    return settings.schema_version, labels, settings.priority, settings.target_condition, reads_reported


def _metrics(settings: Settings) -> str:
    return dump(dict(settings.metrics))


def _from_row(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_NAMES, row, strict=True))
    document = load(values["content"])
    kind = next(kind for kind in KINDS if kind in document)
    return Entry(
        creation=values["creation"],
        id=values["id"],
        etag_number=values["etag"],
        settings=Settings(
            content=Content(kind=kind, sections=document[kind]),
            target=compile_target(values["target_condition"]),
            target_condition=values["target_condition"],
            priority=values["priority"],
            schema_version=values["schema_version"],
            labels=None if values["labels"] is None else load(values["labels"]),
            metrics=load(values["metrics"]),
        ),
        results=None if values["results"] is None else load(values["results"]),
        created=values["created"],
        updated=values["updated"],
    )
