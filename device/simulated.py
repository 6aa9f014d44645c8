"""A simulated device: replays real temperatures of a city, has a battery, can be rebooted, obeys its twin."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Annotated, Any

from pydantic import Field

from device.app import App
from device.client import HubClient
from device.measurements import CITIES, Reading, temperatures
from device.memory import resident_mebibytes
from device.settings import ReportingSettings
from iot_core.clock import Clock, SystemClock, iso
from iot_core.message import Message

FULL_PERCENT = 100.0
DRAIN_PERCENT_PER_MESSAGE = 0.05  # A full battery lasts 2,000 messages, after which the simulation puts in a new one.
REBOOT_PAUSE_S = 1.0  # How long the device is away: long enough to be seen as disconnected, short enough for a demo.
REBOOT_ANSWER_S = 0.2  # So that the answer to the method call is out before the connection closes.
LONGEST_REBOOT_DELAY_S = 3600.0


class SimulatedSettings(ReportingSettings):
    """What an operator can set on a simulated device."""

    low_battery: float = Field(default=20.0, ge=0, le=100, description="Percent under which the battery counts as low")
    max_temperature: float = Field(default=30.0, ge=-60, le=60, description="°C above which a message carries an alert")


@dataclass(frozen=True, kw_only=True)
class Character:
    """What the id of a device decides, the same in every run: the city it plays, from which hour, its first charge."""

    city: str
    offset: int
    battery: float

    @classmethod
    def of(cls, device_id: str) -> Character:
        digest = hashlib.sha256(device_id.encode()).digest()
        city = CITIES[digest[0] % len(CITIES)]
        offset = int.from_bytes(digest[1:5], "big") % len(temperatures(city))
        return cls(city=city, offset=offset, battery=60 + digest[5] % 41)

    def readings(self) -> Iterator[Reading]:
        """The recorded hours from the offset on, round and round."""
        recorded = temperatures(self.city)
        return islice(cycle(recorded), self.offset, None)


class SimulatedDevice:
    """One device on any HubClient.

    Telemetry at the reporting interval: {"deviceId", "time" (of sending), "temperature" (°C), "city", "recordedTime"
    (of the reading, local time of the city), "battery" (percent)} with the application property temperatureAlert
    "true" or "false". Reported: battery (whole percent), batteryLow, memory (MiB of this process), city, lastReboot
    (absent until then).
    """

    def __init__(self, client: HubClient, device_id: str, *, clock: Clock | None = None) -> None:
        self.device_id = device_id
        self._clock = clock or SystemClock()
        self._character = Character.of(device_id)
        self._readings = self._character.readings()
        self._battery = self._character.battery
        self.app = App(client, SimulatedSettings, name=device_id)
        self.app.report({"city": self._character.city})
        self.app.every_interval(self._measure)
        self.app.method("reboot")(self.reboot)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, or SIGTERM or SIGINT comes; raises what device.app.App.run raises."""
        await self.app.run(stop)

    async def reboot(
        self, delay_seconds: Annotated[float, Field(ge=0, le=LONGEST_REBOOT_DELAY_S)] = 0.0
    ) -> dict[str, Any]:
        """Disconnect after the delay, come back a second later and report lastReboot; answers {"rebootAt": time}."""
        self.app.spawn(self._reboot(delay_seconds))
        return {"rebootAt": iso(self._clock.now() + delay_seconds)}

    async def _reboot(self, delay_s: float) -> None:
        await asyncio.sleep(max(delay_s, REBOOT_ANSWER_S))
        self.app.report({"lastReboot": iso(self._clock.now())})
        await self.app.restart(REBOOT_PAUSE_S)

    async def _measure(self) -> None:
        reading = next(self._readings)
        self._drain()
        self.app.report(self._condition())
        await self.app.send(self._telemetry(reading))

    def _drain(self) -> None:
        left = self._battery - DRAIN_PERCENT_PER_MESSAGE
        self._battery = left if left > 0 else FULL_PERCENT

    def _condition(self) -> dict[str, Any]:
        low = self._battery < self.app.settings.low_battery
        return {"battery": round(self._battery), "batteryLow": low, "memory": resident_mebibytes()}

    def _telemetry(self, reading: Reading) -> Message:
        body = {
            "deviceId": self.device_id,
            "time": iso(self._clock.now()),
            "temperature": reading.celsius,
            "city": self._character.city,
            "recordedTime": reading.time.isoformat(),
            "battery": round(self._battery, 2),
        }
        alert = reading.celsius > self.app.settings.max_temperature
        return Message(
            json.dumps(body).encode(),
            {"temperatureAlert": "true" if alert else "false"},
            {"contentType": "application/json", "contentEncoding": "utf-8"},
        )
