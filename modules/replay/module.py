"""The replay module on the application frame: outputs `temperature` and `texts`, direct method `injectFault`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from device.app import App
from device.client import HubClient
from iot_core.clock import Clock, SystemClock, iso
from iot_core.message import Message
from modules.replay.faults import FaultInjector, FaultRequest
from modules.replay.player import Player
from modules.replay.settings import ReplaySettings, Sensor

TEMPERATURE_OUTPUT = "temperature"
TEXTS_OUTPUT = "texts"
HISTORY = "history"
LIVE = "live"


class ReplayModule:
    """Sends the history of each sensor once, then a reading of each and a text at every reporting interval.

    Messages on `temperature` carry the application property phase, "history" or "live". Reported: faults, a list of
    what was injected when (faults.Fault.announcement).
    """

    def __init__(self, client: HubClient, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._injector = FaultInjector()
        self._player = Player(self._injector)
        self._history: dict[Sensor, deque[dict[str, object]]] = {}
        self.app = App(client, ReplaySettings, name="replay")
        self.app.report({"faults": []})
        self.app.every_interval(self._play)
        self.app.method("injectFault")(self.inject_fault)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, or SIGTERM or SIGINT comes; raises what device.app.App.run raises."""
        await self.app.run(stop)

    async def inject_fault(self, request: FaultRequest) -> dict[str, Any]:
        """Corrupt the next readings of a sensor and announce it; answers with the announcement."""
        fault = self._injector.inject(request, iso(self._clock.now()))
        await self._announce()
        return fault.announcement()

    async def _play(self) -> None:
        for sensor in self.app.settings.sensors:
            await self._send_history(sensor)
            await self._send_temperature(self._player.next_reading(sensor), LIVE)
        if self.app.settings.texts:
            await self._send(self._player.next_text(), TEXTS_OUTPUT, {})
        await self._announce()

    async def _send_history(self, sensor: Sensor) -> None:
        """Once for each sensor; after an interruption it goes on where it stopped."""
        if sensor not in self._history:
            self._history[sensor] = deque(self._player.history(sensor, self.app.settings.history_hours))
        waiting = self._history[sensor]
        while waiting:
            await self._send_temperature(waiting[0], HISTORY)
            waiting.popleft()

    async def _send_temperature(self, body: dict[str, object], phase: str) -> None:
        await self._send(body, TEMPERATURE_OUTPUT, {"phase": phase})

    async def _send(self, body: dict[str, object], output: str, properties: dict[str, str | None]) -> None:
        system = {"contentType": "application/json", "contentEncoding": "utf-8"}
        await self.app.send(Message(json.dumps(body).encode(), properties, system), output=output)

    async def _announce(self) -> None:
        self.app.report({"faults": self._injector.announcements()})
        await self.app.report_now()
