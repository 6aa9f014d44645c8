"""Telemetry messages → judged records, and what is counted on the way; no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from iot_core.errors import InputError, MessageError
from iot_core.message import Message
from modules.common.json_body import json_message, numbers_at, records, value_at
from modules.scorer.anomaly import Detector, Judgement, Key
from modules.scorer.settings import ScorerSettings

__all__ = ["ANOMALIES", "SCORES", "Output", "Taken", "TelemetryScorer"]

SCORES, ANOMALIES = "scores", "anomalies"
PHASE_PROPERTY, HISTORY = "phase", "history"
"""Application property and its value for readings of the past, which fill the window and are not judged."""
FLAG_PROPERTY, SCORE_PROPERTY = "anomaly", "anomalyScore"
"""Application properties of what goes out, for routes."""
LARGEST = 1e15  # models compute in float32: the squares of a window must stay far below its end, 3e38


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A message and the names of the outputs that it goes to."""

    message: Message
    outputs: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class Taken:
    """What became of a message: what is to be sent on, or why it was not scored."""

    outputs: list[Output] = field(default_factory=list)
    error: InputError | None = None


@dataclass(kw_only=True)
class Counts:
    """What has come and gone since the process started."""

    messages: int = 0
    history: int = 0
    scored: int = 0
    anomalies: int = 0
    errors: int = 0


@dataclass(kw_only=True)
class TelemetryScorer:
    """Turns each input message into output messages.

    A message is a JSON object or an array of them; `settings.field` holds a number or an array of them, oldest first.
    A series is one sender (device and module), one value of `settings.series_field`, and the field itself.
    """

    detector: Detector
    counts: Counts = field(default_factory=Counts)
    last_anomaly: dict[str, Any] | None = None
    last_error: str | None = None

    def take(self, message: Message, settings: ScorerSettings) -> list[Output]:
        """The messages to send on, in order. Raises MessageError for a message that cannot be read, of which nothing is
        remembered, and InputError for one that the model cannot judge; both are counted."""
        (taken,) = self.take_all([message], settings)
        if taken.error is not None:
            raise taken.error
        return taken.outputs

    def take_all(self, messages: Sequence[Message], settings: ScorerSettings) -> list[Taken]:
        """The same for several messages, in the order in which they came, judged together: that is faster."""
        self.counts.messages += len(messages)
        read = [self._read(message, settings) for message in messages]
        for history, group in groupby(read, key=lambda each: each.history):
            if history:
                self._remember([reading for each in group for reading in each.readings], settings)
            else:
                self._judge(list(group), settings)
        return [each.taken for each in read]

    def reported(self) -> dict[str, Any]:
        """Reported properties: counts, series, seriesForgotten, lastAnomaly and lastError."""
        return {
            "counts": vars(self.counts).copy(),
            "series": len(self.detector),
            "seriesForgotten": self.detector.forgotten,
            "lastAnomaly": self.last_anomaly,
            "lastError": self.last_error,
        }

    def _remember(self, readings: list[_Reading], settings: ScorerSettings) -> None:
        for reading in readings:
            self.counts.history += len(reading.values)
            self.detector.remember(reading.key, reading.values, settings)

    def _read(self, message: Message, settings: ScorerSettings) -> _Read:
        read = _Read(message=message, history=message.properties.get(PHASE_PROPERTY) == HISTORY)
        try:
            read.readings = [_reading(message, record, settings) for record in records(message.body)]
        except MessageError as error:
            self._failed(read, error)
        return read

    def _failed(self, read: _Read, error: InputError) -> None:
        read.taken.error = error
        self.counts.errors += 1
        self.last_error = str(error)

    def _judge(self, read: Sequence[_Read], settings: ScorerSettings) -> None:
        """Fills their outputs."""
        values = [(reading.key, value) for each in read for reading in each.readings for value in reading.values]
        try:
            judgements = iter(self.detector.judge_all(values, settings))
        except InputError as error:
            for each in read:
                if each.taken.error is None:
                    self._failed(each, error)
            return
        for each in read:
            for reading in each.readings:
                for judgement in islice(judgements, len(reading.values)):
                    self._count(reading, judgement)
                    each.taken.outputs.append(_output(each.message, reading, judgement))

    def _count(self, reading: _Reading, judgement: Judgement) -> None:
        self.counts.scored += 1
        if judgement.anomaly:
            self.counts.anomalies += 1
            self.last_anomaly = {**reading.names, "value": judgement.value, "score": judgement.score}


@dataclass(kw_only=True, slots=True)
class _Read:
    """A message, what it says, and what becomes of it."""

    message: Message
    history: bool
    readings: list[_Reading] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    names: dict[str, str]
    key: Key
    record: Mapping[str, Any]
    values: list[float]


def _reading(message: Message, record: Mapping[str, Any], settings: ScorerSettings) -> _Reading:
    names = {
        "device": message.system.get("connectionDeviceId"),
        "module": message.system.get("connectionModuleId"),
        "series": _series_name(record, settings.series_field),
    }
    return _Reading(
        names={name: text for name, text in names.items() if text is not None},
        key=(*names.values(), settings.field),
        record=record,
        values=_values(record, settings.field),
    )


def _values(record: Mapping[str, Any], path: str) -> list[float]:
    values = numbers_at(record, path)
    for value in values:
        if abs(value) > LARGEST:
            raise MessageError(f"the field {path!r} is {value:g}, too large to score: at most {LARGEST:g} either way")
    return values


def _series_name(record: Mapping[str, Any], path: str) -> str | None:
    try:
        value = value_at(record, path)
    except MessageError:
        return None
    return None if value is None else str(value)


def _output(message: Message, reading: _Reading, judgement: Judgement) -> Output:
    """The record with "value", "score" and "anomaly" (and who sent it), and flag and score as properties."""
    judged = {"value": judgement.value, "score": judgement.score, "anomaly": judgement.anomaly}
    content = {**reading.names, **reading.record, **judged}
    properties = {FLAG_PROPERTY: "true" if judgement.anomaly else "false"}
    if judgement.score is not None:
        properties[SCORE_PROPERTY] = f"{judgement.score:g}"
    outputs = (SCORES, ANOMALIES) if judgement.anomaly else (SCORES,)
    return Output(message=json_message(content, message, properties), outputs=outputs)
