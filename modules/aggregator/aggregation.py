"""One definition at work: its windows, its watermark, its counts. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from iot_core.errors import MessageError
from modules.aggregator.cells import Pane
from modules.aggregator.paths import Record
from modules.aggregator.plan import Plan
from modules.aggregator.results import ERRORS, LATE, Emission, bounds, report_id, result_id
from modules.aggregator.settings import Definition
from modules.aggregator.times import iso_of, micros
from modules.aggregator.watermark import NEVER, Watermark
from modules.aggregator.windows import Added, Windows

__all__ = ["Aggregation", "Counts"]


@dataclass(kw_only=True)
class Counts:
    """What has happened to a definition since it was first set; kept over restarts."""

    records: int = 0
    """Records that met the condition."""
    results: int = 0
    corrections: int = 0
    """Results that supersede another, of the results."""
    late: int = 0
    """Records that came for a window that is kept no longer (some of them count in other windows)."""
    ahead: int = 0
    """Records refused because their time is too far in the future."""
    unreadable: int = 0
    """Records refused because of their time or their group."""
    refused: int = 0
    """Records refused because of the limit of groups, or of windows."""
    unusable_values: int = 0
    """Values left out: no number where one is needed, objects, arrays."""
    fallback_times: int = 0
    """Records without the time that the definition names."""
    discarded: int = 0
    """Open windows dropped because the definition changed."""


class Aggregation:
    """See the module. `generation` is the time when the definition got its meaning; it makes result ids differ."""

    def __init__(self, name: str, definition: Definition, generation: str) -> None:
        self.name = name
        self.generation = generation
        self.counts = Counts()
        self._begin(definition)
        self.watermark = Watermark(
            out_of_order=micros(definition.out_of_orderness), idle=micros(definition.idle_timeout)
        )

    @property
    def definition(self) -> Definition:
        """The definition in force."""
        return self._plan.definition

    @property
    def open_windows(self) -> int:
        """Windows, over all groups, that have not closed."""
        return self._windows.open_panes()

    @property
    def groups(self) -> int:
        """Groups of which a window is kept."""
        return self._windows.census.groups

    def change(self, definition: Definition, generation: str) -> None:
        """A new definition: what its windows do not depend on changes in place, else they begin anew."""
        if definition == self.definition:
            return
        if definition.meaning() == self.definition.meaning():
            self._adjust(definition)
            return
        self.counts.discarded += self.open_windows
        self.generation = generation
        self._begin(definition)
        self.watermark = Watermark(
            out_of_order=micros(definition.out_of_orderness), idle=micros(definition.idle_timeout)
        )

    def record(self, record: Record, number: int, position: int) -> list[Emission]:
        """Take one record, the one at `position` of the message `number` of the journal."""
        if not self._plan.accepts(record):
            return []
        self.counts.records += 1
        try:
            time, as_named = self._plan.time(record)
            key = self._plan.key(record)
        except MessageError as error:
            self.counts.unreadable += 1
            return [self._refusal(record, number, position, str(error))]
        self.counts.fallback_times += not as_named
        if time > record.arrival + self._max_ahead:
            self.counts.ahead += 1
            return [self._refusal(record, number, position, f"its time {iso_of(time)} is too far in the future")]
        values, unusable = self._plan.values(record)
        self.counts.unusable_values += unusable
        added = self._windows.add(key, time, values, self.watermark.value)
        emissions = self._results(added.corrected) if added.corrected else []
        if added.missed:
            self.counts.late += 1
            emissions.append(self._too_late(record, time, added, number, position))
        if added.refused:
            self.counts.refused += 1
            emissions.append(self._refusal(record, number, position, self._full()))
        if self.watermark.observe(time, record.arrival):
            emissions += self._close()
        return emissions

    def is_due(self, now: int, since: int) -> bool:
        """Whether silence up to `now` closes a window."""
        due = self._windows.next_close()
        return due is not None and self.watermark.after_silence(now, since, self._horizon()) >= due

    def silence(self, now: int, since: int) -> list[Emission]:
        """Nothing came up to `now`, or since `since`."""
        return self._close() if self.watermark.pass_silence(now, since, self._horizon()) else []

    def dump(self) -> dict[str, Any]:
        """As JSON; `load` reads it."""
        return {
            "generation": self.generation,
            "definition": self.definition.model_dump(mode="json", by_alias=True),
            "watermark": self.watermark.dump(),
            "counts": asdict(self.counts),
            "windows": self._windows.dump(),
        }

    @classmethod
    def load(cls, name: str, state: dict[str, Any]) -> Aggregation:
        """What `dump` wrote."""
        aggregation = cls(name, Definition.model_validate(state["definition"]), state["generation"])
        aggregation.watermark.load(state["watermark"])
        aggregation.counts = Counts(**state["counts"])
        aggregation._windows.load(state["windows"])
        return aggregation

    def _begin(self, definition: Definition) -> None:
        self._plan = Plan(definition)
        self._windows: Windows = self._plan.windows()
        self._max_ahead = micros(definition.max_ahead)

    def _adjust(self, definition: Definition) -> None:
        self._plan = Plan(definition)
        self._max_ahead = micros(definition.max_ahead)
        self._windows.census.max_groups = definition.max_groups
        self._windows.set_lateness(micros(definition.allowed_lateness))
        self.watermark.configure(out_of_order=micros(definition.out_of_orderness), idle=micros(definition.idle_timeout))

    def _horizon(self) -> int:
        seen = self.watermark.seen
        return NEVER if seen == NEVER else self._windows.horizon(seen)

    def _close(self) -> list[Emission]:
        emissions = self._results(self._windows.close(self.watermark.value))
        self._windows.forget(self.watermark.value)
        return emissions

    def _results(self, panes: Sequence[Pane]) -> list[Emission]:
        if not panes:
            return []
        return [self._result(pane) for pane in panes]

    def _result(self, pane: Pane) -> Emission:
        superseded, pane.revision = pane.results, pane.revision + 1
        identifier = result_id(self.name, self.generation, pane, pane.revision)
        pane.results = [identifier]
        self.counts.results += 1
        self.counts.corrections += bool(superseded)
        cell = self._windows.content(pane)
        body = {
            "id": identifier,
            "definition": self.name,
            "window": {"type": self.definition.window.type, **bounds(pane.start, pane.end)},
            "group": self._plan.group(pane.key),
            "revision": pane.revision,
            "supersedes": superseded,
            "records": cell.records,
            "values": self._plan.result(cell, pane.end - pane.start),
        }
        properties = {"definition": self.name, "revision": str(pane.revision)}
        return Emission(id=identifier, output=self.definition.output, body=orjson.dumps(body), properties=properties)

    def _too_late(self, record: Record, time: int, added: Added, number: int, position: int) -> Emission:
        body = {
            "definition": self.name,
            "eventTime": iso_of(time),
            "watermark": iso_of(self.watermark.value),
            "missed": [bounds(start, end) for start, end in added.missed],
            "record": record.document,
        }
        properties = {"definition": self.name, "reason": "late"}
        return Emission(
            id=report_id(self.name, number, position, "late"),
            output=LATE,
            body=orjson.dumps(body),
            properties=properties,
        )

    def _refusal(self, record: Record, number: int, position: int, reason: str) -> Emission:
        body = {"definition": self.name, "error": reason, "record": record.document}
        identifier = report_id(self.name, number, position, "error")
        return Emission(
            id=identifier,
            output=ERRORS,
            body=orjson.dumps(body),
            properties={"definition": self.name, "reason": "error"},
        )

    def _full(self) -> str:
        census = self._windows.census
        return f"no room for another group or window: {census.groups} of {census.max_groups} groups are held"
