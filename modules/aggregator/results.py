"""What the aggregator sends: results of windows, and reports on records that are in none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from iot_core.message import Message
from modules.aggregator.cells import Pane
from modules.aggregator.paths import JSON_TYPE
from modules.aggregator.times import iso_of

__all__ = ["ERRORS", "LATE", "Emission", "bounds", "report_id", "result_id"]

LATE, ERRORS = "late", "errors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Emission:
    """A message with a JSON body for an output; `id` is its messageId, the same when it is made again after a crash."""

    id: str
    output: str
    body: bytes
    properties: Mapping[str, str]

    def message(self) -> Message:
        """As it is sent."""
        return Message(self.body, {**self.properties}, {**JSON_TYPE, "messageId": self.id})

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = orjson.loads(self.body)
        return document

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [self.id, self.output, orjson.Fragment(self.body), self.properties]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Emission:
        """What `dump` wrote."""
        identifier, output, body, properties = state
        return cls(id=identifier, output=output, body=orjson.dumps(body), properties=properties)


def result_id(definition: str, generation: str, pane: Pane, revision: int) -> str:
    """The id of a result: of its definition, of the time when that began, of its group, window and revision. A session
    grows, but no two of a group ever begin at one time; so the begin stands for the window."""
    parts = f"{definition}\n{generation}\n{pane.key}\n{pane.start}\n{revision}"
    return f"{definition}-{_digest(parts)}-r{revision}"


def report_id(definition: str, journal_number: int, position: int, kind: str) -> str:
    """The id of a report on the record at `position` of the message with this number in the journal."""
    return f"{definition or 'message'}-{kind}-{_digest(f'{definition}/{journal_number}/{position}/{kind}')}"


def bounds(start: int, end: int) -> dict[str, str]:
    """A window's begin and end."""
    return {"start": iso_of(start), "end": iso_of(end)}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
