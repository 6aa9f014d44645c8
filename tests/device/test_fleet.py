"""Many devices in one process, on fake hubs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from device.errors import CredentialRefusedError
from device.fake_client import FakeHubClient
from device.fleet import Fleet, main, read_connection_strings
from iot_core.errors import ConnectionStringError

KEY = "bm90IGEgcmVhbCBrZXk="
STRINGS = [f"HostName=h;DeviceId=dev-{n};SharedAccessKey={KEY}" for n in range(5)]


class Hubs:
    """A fake hub for each device; `broken` refuses its credentials."""

    def __init__(self, broken: str = "") -> None:
        self.clients: list[FakeHubClient] = []
        self._broken = broken

    def make(self, text: str) -> FakeHubClient:
        client = FakeHubClient()
        if self._broken and self._broken in text:
            client.failures = [CredentialRefusedError("wrong key")]
        self.clients.append(client)
        return client


async def test_all_devices_connect_are_announced_and_stop() -> None:
    hubs, stop, announced = Hubs(), asyncio.Event(), []

    def on_ready(count: int) -> None:
        announced.append(count)
        stop.set()

    await Fleet(STRINGS, hubs.make).run(stop, on_ready=on_ready)
    assert announced == [5]
    assert [client.connects for client in hubs.clients] == [1] * 5
    assert not any(client.connected for client in hubs.clients)


async def test_a_device_that_fails_does_not_stop_the_others() -> None:
    hubs, stop = Hubs(broken="dev-1"), asyncio.Event()
    fleet = Fleet(STRINGS, hubs.make)
    task = asyncio.create_task(fleet.run(stop))
    await asyncio.gather(*(device.app.ready.wait() for n, device in enumerate(fleet.devices) if n != 1))
    stop.set()
    await task
    assert fleet.failed == {"dev-1": "wrong key"}


def test_a_device_can_be_in_a_fleet_once() -> None:
    with pytest.raises(ConnectionStringError, match="dev-0 more than once"):
        Fleet([STRINGS[0], STRINGS[0]], Hubs().make)


def test_blank_lines_and_comments_are_left_out() -> None:
    assert read_connection_strings(["# fleet", "", f"  {STRINGS[0]} "]) == [STRINGS[0]]


def test_a_missing_file_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--file", str(tmp_path / "none.txt")]) == 2
    assert "cannot be read" in capsys.readouterr().err
