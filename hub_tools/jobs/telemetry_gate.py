"""A gate on what the devices of a wave send: how many of them have sent a message that meets a condition."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal

from hub_tools.service import Json
from iot_core.errors import InputError, RouteError
from iot_core.routing import RoutedMessage
from iot_core.routing.hub import compile_hub_condition, hub_system_properties

__all__ = ["Events", "TelemetryGate", "parse_telemetry_gate"]

Events = Callable[[float], AbstractAsyncContextManager[AsyncIterator[Json]]]
"""What arrived at a hub's built-in endpoint since a moment (unix seconds), as `hub_tools.monitor.watch` gives it."""

FIRST_S = 10.0
"""Without any event for so long, there is none."""
QUIET_S = 3.0
"""Without another event for so long, all that has been sent has been seen."""
MOST_S = 60.0
"""A hub that is never quiet is listened to for so long."""
TELEMETRY = "Telemetry"
_TEXT = re.compile(r"\s*telemetry\s+(.+?)\s+on\s+at\s+(most|least)\s+(\d+(?:\.\d+)?)\s*%\s*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class TelemetryGate:
    """At most, or at least, so many per cent of the wave's devices have sent such a message since the wave ended.

    `condition` is one of a route's (IoT Hub documentation, "IoT Hub message routing query syntax"), without `$twin`,
    which no event carries.
    """

    condition: str
    bound: Literal["most", "least"]
    percent: float

    def __post_init__(self) -> None:
        if self.percent > 100:
            raise InputError(f"--require {str(self)!r}: no share is above 100%")
        try:
            compiled = compile_hub_condition(self.condition)
        except RouteError as error:
            raise InputError(f"--require {str(self)!r}: {error}") from None
        if compiled.reads_twin:
            raise InputError(f"--require {str(self)!r}: a telemetry gate cannot read $twin")

    def __str__(self) -> str:
        return f"telemetry {self.condition} on at {self.bound} {self.percent:g}%"

    async def failure(self, events: AsyncIterator[Json], devices: Collection[str]) -> str:
        """Why the gate does not hold, "" when it does; `events` are those since the wave ended."""
        matches = compile_hub_condition(self.condition)
        said: set[str] = set()
        async for event in _until_now(events):
            counts = event["source"] == TELEMETRY and event["deviceId"] in devices
            if counts and matches.accepts(_message(event)):
                said.add(event["deviceId"])
        share = 100 * len(said) / len(devices) if devices else self.percent
        if share <= self.percent if self.bound == "most" else share >= self.percent:
            return ""
        return f"{self}: it is {share:.4g}%, {len(said):,} of {len(devices):,} devices"


def parse_telemetry_gate(text: str) -> TelemetryGate | None:
    """`telemetry CONDITION on at most 1%`, or `… on at least 95%`; None for what does not begin so, InputError."""
    if not text.lstrip().lower().startswith("telemetry "):
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InputError(f"--require {text!r}: write 'telemetry CONDITION on at most 1%', or '… on at least 95%'")
    bound: Literal["most", "least"] = "most" if match[2].lower() == "most" else "least"
    return TelemetryGate(condition=match[1], bound=bound, percent=float(match[3]))


async def _until_now(events: AsyncIterator[Json]) -> AsyncIterator[Json]:
    """The events that are there already, of a source that goes on for ever."""
    loop = asyncio.get_running_loop()
    end, patience = loop.time() + MOST_S, FIRST_S
    while loop.time() < end:
        try:
            yield await asyncio.wait_for(anext(events), patience)
        except (TimeoutError, StopAsyncIteration):
            return
        patience = QUIET_S


def _message(event: Json) -> RoutedMessage:
    body: Any = event["body"]
    return RoutedMessage(
        source=TELEMETRY,
        properties=event["properties"],
        system_properties=hub_system_properties(event["systemProperties"]),
        body=body,
    )
