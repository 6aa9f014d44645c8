"""A whole hub with devices in its database, in a process of its own, for benchmarks that measure it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mqtt_load import Login
from iot_core import sas
from iot_core.clock import SystemClock
from local_hub.config import HubConfig
from local_hub.home import HubHome
from local_hub.hub import Hub
from transport.store import Durability, Store

__all__ = ["RunningHub", "hub_at_rest", "logins", "register", "running_hub"]

HOST = "127.61.8.4"
API_VERSION = "2021-04-12"
BULK = 100
"""Identities in one call."""


@dataclass(frozen=True, kw_only=True)
class RunningHub:
    """The process, its MQTT port and its files; ``ready_s`` is the time from its start to the ready line."""

    pid: int
    port: int
    files: HubHome
    ready_s: float


@contextlib.asynccontextmanager
async def hub_at_rest(home: Path, host: str, *, durability: Durability = "full") -> AsyncIterator[Hub]:
    """The hub of a folder without its doors, to fill its database; closed at the end of the block."""
    files = HubHome(home)
    files.create()
    store = Store.open(files.database, schema=Hub.schema(), durability=durability)
    hub = Hub(store, SystemClock(), HubConfig(home=home, host=host))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
        await store.close()


async def register(home: Path, count: int) -> list[tuple[str, str]]:
    """Devices in the database of a hub that does not run; (device id, primary key) of each."""
    ids = [f"sensor-{number:06}" for number in range(count)]
    async with hub_at_rest(home, HOST) as hub:
        for start in range(0, count, BULK):
            some = ids[start : start + BULK]
            await asyncio.gather(*(hub.registry.put_device(device_id, {}, None) for device_id in some))
        keys = [hub.registry.get_device(device_id)["authentication"]["symmetricKey"]["primaryKey"] for device_id in ids]
    return list(zip(ids, keys, strict=True))


def logins(devices: list[tuple[str, str]]) -> list[Login]:
    """One connection for each device, with a token of its own."""
    expiry = int(time.time()) + 24 * 3600
    return [
        Login(
            client_id=device_id,
            username=f"{HOST}/{device_id}/?api-version={API_VERSION}",
            password=sas.sign(f"{HOST}/devices/{device_id}", key, expiry),
            topic=f"devices/{device_id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8",
        )
        for device_id, key in devices
    ]


@contextlib.contextmanager
def running_hub(home: Path) -> Iterator[RunningHub]:
    """The hub, with full durability; ended at the end of the block."""
    command = [sys.executable, "-m", "local_hub", "--home", str(home), "--host", HOST]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--mqtt-port", "0", "--http-port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError(f"the hub did not start: {' '.join(command)}")
        ready_s = time.perf_counter() - started
        files = HubHome(home)
        port = json.loads(files.running.read_text())["mqtt_port"]
        yield RunningHub(pid=process.pid, port=port, files=files, ready_s=ready_s)
    finally:
        process.terminate()
        process.communicate()
