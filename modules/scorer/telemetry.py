"""Telemetry messages → judged records, and what is counted on the way; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import MessageError
from iot_core.message import Message
from modules.common.json_body import json_message, numbers_at, records, value_at
from modules.scorer.anomaly import Detector, Judgement
from modules.scorer.settings import ScorerSettings

__all__ = ["ANOMALIES", "SCORES", "Output", "TelemetryScorer"]

SCORES, ANOMALIES = "scores", "anomalies"
PHASE_PROPERTY, HISTORY = "phase", "history"
"""Application property and its value for readings of the past, which fill the window and are not judged."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A message and the names of the outputs that it goes to."""

    message: Message
    outputs: tuple[str, ...]


@dataclass(kw_only=True)
class Counts:
    """What has come and gone since the module started."""

    messages: int = 0
    history: int = 0
    scored: int = 0
    anomalies: int = 0
    errors: int = 0


@dataclass(kw_only=True)
class TelemetryScorer:
    """Turns each input message into output messages.

    A message is a JSON object or an array of them; `settings.field` holds a number or an array of them, oldest first.
    A series is one sender (device and module) and one value of `settings.series_field`.
    """

    detector: Detector
    counts: Counts = field(default_factory=Counts)
    last_anomaly: dict[str, Any] | None = None
    last_error: str | None = None

    def take(self, message: Message, settings: ScorerSettings) -> list[Output]:
        """The messages to send on, in order. A message that cannot be read gives none and is counted as an error,
        with its reason in `last_error`; nothing of it is remembered."""
        self.counts.messages += 1
        try:
            readings = [self._reading(message, record, settings) for record in records(message.body)]
        except MessageError as error:
            self.counts.errors += 1
            self.last_error = str(error)
            return []
        if message.properties.get(PHASE_PROPERTY) == HISTORY:
            self._remember(readings, settings)
            return []
        return [output for reading in readings for output in self._judge(message, reading, settings)]

    def reported(self) -> dict[str, Any]:
        """Reported properties: counts, series, lastAnomaly and lastError."""
        return {
            "counts": vars(self.counts).copy(),
            "series": len(self.detector),
            "lastAnomaly": self.last_anomaly,
            "lastError": self.last_error,
        }

    def _remember(self, readings: list[_Reading], settings: ScorerSettings) -> None:
        for reading in readings:
            self.counts.history += len(reading.values)
            self.detector.remember(reading.key, reading.values, settings)

    def _judge(self, message: Message, reading: _Reading, settings: ScorerSettings) -> Iterator[Output]:
        for value in reading.values:
            judgement = self.detector.judge(reading.key, value, settings)
            self._count(reading, judgement)
            yield _output(message, reading, judgement)

    def _count(self, reading: _Reading, judgement: Judgement) -> None:
        self.counts.scored += 1
        if judgement.anomaly:
            self.counts.anomalies += 1
            self.last_anomaly = {**reading.names, "value": judgement.value, "score": judgement.score}

    def _reading(self, message: Message, record: Mapping[str, Any], settings: ScorerSettings) -> _Reading:
        names = {
            "device": message.system.get("connectionDeviceId"),
            "module": message.system.get("connectionModuleId"),
            "series": _series_name(record, settings.series_field),
        }
        return _Reading(
            names={name: text for name, text in names.items() if text is not None},
            key=tuple(names.values()),
            record=record,
            values=numbers_at(record, settings.field),
        )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    names: dict[str, str]
    key: tuple[str | None, ...]
    record: Mapping[str, Any]
    values: list[float]


def _series_name(record: Mapping[str, Any], path: str) -> str | None:
    try:
        value = value_at(record, path)
    except MessageError:
        return None
    return None if value is None else str(value)


def _output(message: Message, reading: _Reading, judgement: Judgement) -> Output:
    """The record with "value", "score" and "anomaly" (and who sent it), and the property "anomaly" for routes."""
    judged = {"value": judgement.value, "score": judgement.score, "anomaly": judgement.anomaly}
    content = {**reading.names, **reading.record, **judged}
    properties = {"anomaly": "true" if judgement.anomaly else "false"}
    outputs = (SCORES, ANOMALIES) if judgement.anomaly else (SCORES,)
    return Output(message=json_message(content, message, properties), outputs=outputs)
