"""All definitions over one stream of messages, without I/O.

The engine is deterministic: the same messages, silences and settings in the same order give the same emissions with the
same ids. So its state after a crash is made again from the journal of what went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import structlog

from iot_core.errors import MessageError
from iot_core.message import Message
from modules.aggregator.aggregation import Aggregation
from modules.aggregator.paths import Record
from modules.aggregator.remembered import RememberedIds
from modules.aggregator.results import ERRORS, Emission, report_id
from modules.aggregator.settings import AggregatorSettings, Definition
from modules.common.json_body import records

__all__ = ["Engine", "Intake"]

FORMAT = 1
"""Of the state on disk."""
SHOWN_BYTES = 1_000  # of a body that cannot be read, in its report
log = structlog.get_logger("aggregator.engine")


@dataclass(kw_only=True)
class Intake:
    """What has come in since the state began; kept over restarts."""

    messages: int = 0
    duplicates: int = 0
    """Messages with an id that had come before."""
    unreadable: int = 0
    """Messages whose body is no JSON object or array of objects."""
    discarded: int = 0
    """Open windows of definitions that were removed."""
    failures: int = 0
    """Records that a definition failed on because of a mistake in this program."""


class Engine:
    """Times are microseconds; `number` is a message's place in the journal."""

    def __init__(self) -> None:
        self.aggregations: dict[str, Aggregation] = {}
        self.intake = Intake()
        self.remembered = RememberedIds(AggregatorSettings().remembered_ids)

    def configure(self, definitions: Mapping[str, Definition], remembered_ids: int, *, generation: str) -> None:
        """Put definitions in force; those that are the same, or mean the same, keep their state."""
        self.remembered.resize(remembered_ids)
        before, self.aggregations = self.aggregations, {}
        for name, definition in definitions.items():
            aggregation = before.pop(name, None)
            if aggregation is None:
                aggregation = Aggregation(name, definition, generation)
            else:
                aggregation.change(definition, generation)
            self.aggregations[name] = aggregation
        for gone in before.values():
            self.intake.discarded += gone.open_windows
            log.warning("definition removed", definition=gone.name, open_windows=gone.open_windows)

    def is_configured(self, definitions: Mapping[str, Definition], remembered_ids: int) -> bool:
        """Whether exactly this is in force."""
        in_force = {name: aggregation.definition for name, aggregation in self.aggregations.items()}
        return in_force == definitions and self.remembered.limit == remembered_ids

    def message(self, number: int, arrival: int, message: Message) -> list[Emission]:
        """Take a message."""
        self.intake.messages += 1
        if self.remembered.has_seen(message):
            self.intake.duplicates += 1
            return []
        try:
            documents = records(message.body)
        except MessageError as error:
            self.intake.unreadable += 1
            shown = message.body[:SHOWN_BYTES].decode("utf-8", "replace")
            body = {"error": str(error), "body": shown}
            identifier = report_id("", number, 0, "error")
            return [Emission(id=identifier, output=ERRORS, body=orjson.dumps(body), properties={"reason": "error"})]
        emissions: list[Emission] = []
        for position, document in enumerate(documents):
            record = Record(document, message.properties, message.system, arrival)
            for aggregation in self.aggregations.values():
                emissions += self._one(aggregation, record, number, position)
        return emissions

    def is_due(self, now: int, since: int) -> bool:
        """Whether `silence` would close a window."""
        return any(aggregation.is_due(now, since) for aggregation in self.aggregations.values())

    def silence(self, now: int, since: int) -> list[Emission]:
        """Nothing has come up to `now` since the last message, or since `since` if that is later."""
        return [one for aggregation in self.aggregations.values() for one in aggregation.silence(now, since)]

    def dump(self) -> dict[str, Any]:
        """As JSON; `load` reads it."""
        return {
            "format": FORMAT,
            "intake": asdict(self.intake),
            "remembered": self.remembered.dump(),
            "aggregations": {name: aggregation.dump() for name, aggregation in self.aggregations.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `dump` wrote."""
        self.intake = Intake(**state["intake"])
        self.remembered = RememberedIds.load(state["remembered"])
        self.aggregations = {name: Aggregation.load(name, value) for name, value in state["aggregations"].items()}

    def _one(self, aggregation: Aggregation, record: Record, number: int, position: int) -> list[Emission]:
        try:
            return aggregation.record(record, number, position)
        except Exception:  # One message must not stop all that come after it, now and at every restart.
            self.intake.failures += 1
            log.exception("record not taken", definition=aggregation.name, number=number)
            return []
