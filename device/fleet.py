"""Many simulated devices in one process.

    python -m device.fleet --file connections.txt --ca ca.pem

The file holds one device connection string per line ("-" reads standard input). Prints "ready N" when all N devices are
connected and in step with their twins. Ends on SIGTERM or SIGINT: with 0, or with 3 if some device failed for good.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from device.azure_client import SdkClient
from device.client import HubClient
from device.logs import configure_logs
from device.process import leave, run_process, stop_on_signals
from device.simulated import SimulatedDevice
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, EdgeyardError, InputError

CONNECTING_AT_ONCE = 8  # azure-iot-device connects on one thread for the whole process; more only queue there.
PARTLY_DONE = 3

ClientFactory = Callable[[str], HubClient]
log = structlog.get_logger(__name__)


class Fleet:
    """Runs one SimulatedDevice for each connection string; a device that fails does not touch the others."""

    def __init__(self, connection_strings: Sequence[str], make_client: ClientFactory) -> None:
        """ConnectionStringError for a string that is no device's, or a device that is there twice."""
        device_ids = [_device_id(text) for text in connection_strings]
        if twice := {device for device in device_ids if device_ids.count(device) > 1}:
            raise ConnectionStringError(f"the fleet names {min(twice)} more than once: a device can connect only once")
        self.devices = [
            SimulatedDevice(make_client(text), device_id)
            for text, device_id in zip(connection_strings, device_ids, strict=True)
        ]
        self.failed: dict[str, str] = {}
        """Device id → why it stopped for good."""
        self._starting = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def run(self, stop: asyncio.Event | None = None, *, on_ready: Callable[[int], None] | None = None) -> None:
        """Run all until `stop` is set (or SIGTERM or SIGINT comes) or none is left; then all have disconnected.

        `on_ready` is called once with the number of devices, when every one of them is connected.
        """
        async with stop_on_signals(stop) as stopping:
            announced = asyncio.create_task(self._announce(on_ready))
            try:
                await asyncio.gather(*(self._run_one(device, stopping) for device in self.devices))
            finally:
                announced.cancel()

    async def _announce(self, on_ready: Callable[[int], None] | None) -> None:
        await asyncio.gather(*(device.app.ready.wait() for device in self.devices))
        if on_ready is not None:
            on_ready(len(self.devices))

    async def _run_one(self, device: SimulatedDevice, stop: asyncio.Event) -> None:
        async with self._starting:
            running = asyncio.create_task(device.run(stop))
            ready = asyncio.create_task(device.app.ready.wait())
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
        try:
            await running
        except EdgeyardError as error:
            self.failed[device.device_id] = str(error)
            log.error("device failed", device=device.device_id, reason=str(error))


def read_connection_strings(lines: Iterable[str]) -> list[str]:
    """The connection strings among the lines: blank ones and those that begin with # are left out."""
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _device_id(text: str) -> str:
    parsed = ConnectionString.parse(text)
    if parsed.device_id is None or parsed.module_id is not None:
        raise ConnectionStringError("the fleet's file holds a connection string that is not a device's")
    return parsed.device_id


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m device.fleet", description="Run many simulated devices.")
    parser.add_argument("--file", required=True, help="device connection strings, one a line; - for standard input")
    parser.add_argument("--ca", type=Path, help="PEM file with the CA of the hub")
    return parser.parse_args(argv)


def _read(name: str) -> list[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file of connection strings cannot be read: {error}") from error
    strings = read_connection_strings(text.splitlines())
    if not strings:
        raise InputError(f"{name} holds no connection string: write one a line")
    return strings


async def _main(arguments: argparse.Namespace) -> int:
    def client(text: str) -> HubClient:
        return SdkClient.from_connection_string(text, ca_file=arguments.ca)

    fleet = Fleet(_read(arguments.file), client)
    await fleet.run(on_ready=lambda count: print(f"ready {count}", flush=True))
    return PARTLY_DONE if fleet.failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    arguments = _arguments(argv)
    configure_logs()
    return run_process(lambda: _main(arguments))


if __name__ == "__main__":
    leave(main())
