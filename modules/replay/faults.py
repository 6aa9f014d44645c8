"""Faults that are put into recorded readings on purpose, and announced; pure logic.

spike   each of the next `count` readings is moved by `magnitude`
stuck   the next `count` readings repeat the one before the first of them
drift   the next `count` readings move away step by step, the last one by `magnitude`
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from iot_core.errors import InputError
from modules.replay.settings import Sensor

REMEMBERED = 10  # Faults kept in the reported properties: a twin array may not grow without end.


class FaultKind(StrEnum):
    """How a reading is made wrong."""

    SPIKE = "spike"
    STUCK = "stuck"
    DRIFT = "drift"


class FaultRequest(BaseModel):
    """The payload of injectFault."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    sensor: Sensor
    kind: FaultKind
    magnitude: Annotated[float, Field(ge=-1000, le=1000, description="°C; not used by stuck")] = 15.0
    count: Annotated[int, Field(ge=1, le=1000, description="How many readings are corrupted")] = 1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault under way or over: `times` are those of the readings that it has corrupted."""

    request: FaultRequest
    injected_at: str
    times: tuple[str, ...] = ()
    held: float | None = None

    @property
    def finished(self) -> bool:
        return len(self.times) >= self.request.count

    def announcement(self) -> dict[str, object]:
        """What the reported properties say about it."""
        return {
            **self.request.model_dump(mode="json", by_alias=True),
            "injectedAt": self.injected_at,
            "corrupted": len(self.times),
            "firstTime": self.times[0] if self.times else "",
            "lastTime": self.times[-1] if self.times else "",
            "finished": self.finished,
        }

    def corrupt(self, time: str, true_value: float, previous: float) -> tuple[Fault, float]:
        """The fault after one more reading, and the value to send in place of the true one."""
        held = previous if self.held is None else self.held
        after = replace(self, times=(*self.times, time), held=held)
        return after, round(_corrupted(self.request, len(after.times), true_value, held), 2)


def _corrupted(request: FaultRequest, number: int, true_value: float, held: float) -> float:
    if request.kind is FaultKind.STUCK:
        return held
    share = number / request.count if request.kind is FaultKind.DRIFT else 1.0
    return true_value + request.magnitude * share


class FaultInjector:
    """Corrupts the readings of all sensors as asked; one fault at a time on each sensor."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._previous: dict[Sensor, float] = {}

    def inject(self, request: FaultRequest, now: str) -> Fault:
        """Begin with the next reading of the sensor; InputError while another fault is under way there."""
        if self._active(request.sensor) is not None:
            raise InputError(f"a fault is still under way on {request.sensor}: wait until it is finished")
        fault = Fault(request=request, injected_at=now)
        self._faults = [*self._faults, fault][-REMEMBERED:]
        return fault

    def reading(self, sensor: Sensor, time: str, true_value: float) -> float:
        """The value to send for a reading."""
        value = true_value
        if (index := self._active(sensor)) is not None:
            previous = self._previous.get(sensor, true_value)
            self._faults[index], value = self._faults[index].corrupt(time, true_value, previous)
        self._previous[sensor] = value
        return value

    def announcements(self) -> list[dict[str, object]]:
        """The last faults, oldest first."""
        return [fault.announcement() for fault in self._faults]

    def _active(self, sensor: Sensor) -> int | None:
        places = (i for i, f in enumerate(self._faults) if f.request.sensor is sensor and not f.finished)
        return next(places, None)
