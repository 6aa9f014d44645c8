"""What the demo saw happen in the hub: counts by building, anomalies, sentiments."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeyard.admin import AdminDoor

__all__ = ["Observer"]

Json = dict[str, Any]


@dataclass
class Observer:
    """Tallies of the hub's events; times are those of this process's monotonic clock, in seconds."""

    buildings: Mapping[str, str]
    """Building of each device id; other devices are not counted by building."""
    messages: int = 0
    arrivals: dict[str, deque[float]] = field(default_factory=dict)
    senders: set[str] = field(default_factory=set)
    anomalies: list[Json] = field(default_factory=list)
    sentiments: list[Json] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, door: AdminDoor) -> None:
        """Takes in the events of the hub until it stops or the task is cancelled."""
        async for event in door.events():
            if event.get("source") == "Telemetry":
                self.take(event, time.monotonic())
                self._changed.set()

    def take(self, event: Json, now: float) -> None:
        """Counts one telemetry event that arrived at `now`."""
        self.messages += 1
        device, module, body = str(event.get("deviceId")), event.get("moduleId"), event.get("body")
        building = self.buildings.get(device)
        if building is not None and module is None:
            self.senders.add(device)
            self.arrivals.setdefault(building, deque()).append(now)
        elif isinstance(body, dict) and module == "scorer" and body.get("anomaly"):
            self.anomalies.append(body)
        elif isinstance(body, dict) and module == "sentiment" and "sentimentScore" in body:
            self.sentiments.append(body)

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> bool:
        """Waits until `condition` holds; whether it did within the time. Asked again after each event."""
        deadline = time.monotonic() + within_s
        while not condition():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return condition()
        return True

    def rate(self, building: str, start: float, end: float) -> float:
        """Messages a second from a building's devices between two times."""
        times = self.arrivals.get(building, ())
        return sum(start <= moment < end for moment in times) / (end - start)
