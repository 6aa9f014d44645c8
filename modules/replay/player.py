"""What is played and in which order; no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import cycle

from device.measurements import Reading, temperatures
from modules.replay.faults import FaultInjector
from modules.replay.settings import Sensor

START_HOURS = {Sensor.SEATTLE: 4_000, Sensor.SAN_FRANCISCO: 2_500}
"""Where each recording begins to play live, hours from 1 January: mid June and mid April, with 4,000 and 2,500
before."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A product review; `id` is unique in the file."""

    id: str
    text: str


@cache
def texts() -> tuple[Text, ...]:
    """The reviews in texts.json, in order."""
    rows = json.loads(resources.files("modules.replay").joinpath("texts.json").read_text("utf-8"))
    return tuple(Text(**row) for row in rows)


class Player:
    """Plays the recordings of all sensors, one recorded hour at a time, through the fault injector."""

    def __init__(self, injector: FaultInjector) -> None:
        self._injector = injector
        self._position = dict(START_HOURS)
        self._texts = cycle(texts())

    def history(self, sensor: Sensor, hours: int) -> Iterator[dict[str, object]]:
        """The recorded hours before the live part, oldest first, never faulty."""
        recorded = temperatures(sensor.value)
        start = START_HOURS[sensor]
        for hour in range(start - hours, start):
            yield _body(sensor, recorded[hour % len(recorded)])

    def next_reading(self, sensor: Sensor) -> dict[str, object]:
        """{"sensor", "time" (as recorded, local time of the city), "temperature" (°C)} of the next hour."""
        recorded = temperatures(sensor.value)
        reading = recorded[self._position[sensor] % len(recorded)]
        self._position[sensor] += 1
        body = _body(sensor, reading)
        value = self._injector.reading(sensor, str(body["time"]), reading.celsius)
        return body | {"temperature": value}

    def next_text(self) -> dict[str, object]:
        """{"id", "text"} of the next review, round and round."""
        text = next(self._texts)
        return {"id": text.id, "text": text.text}


def _body(sensor: Sensor, reading: Reading) -> dict[str, object]:
    return {"sensor": sensor.value, "time": reading.time.isoformat(), "temperature": reading.celsius}
