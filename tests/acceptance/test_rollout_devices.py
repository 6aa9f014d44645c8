"""Rollouts over devices on azure-iot-device, each its own process, that refuse a value or do not answer."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.acceptance.support import Process, RunningHub, edgeyard, eventually

pytestmark = pytest.mark.acceptance
DEVICES = ("fleet-a", "fleet-b", "fleet-c")
WHERE = ("--where", "tags.fleet = 'waves'")
CONNECTED = "SELECT deviceId FROM devices WHERE tags.fleet = 'waves' AND connectionState = 'Connected'"


@pytest.fixture(scope="module")
def processes(hub: RunningHub) -> Iterator[list[Process]]:
    """The running devices."""
    for device in DEVICES:
        assert edgeyard(hub.home, "devices", "create", device, "--tag", "fleet=waves").returncode == 0
    running = [Process(hub.home, "device", "run", device, until="connected") for device in DEVICES]
    eventually(lambda: len(json.loads(edgeyard(hub.home, "query", CONNECTED, "-o", "json").stdout)) == len(DEVICES))
    yield running
    assert [process.stop() for process in running] == [0, 0, 0]


@pytest.fixture
def fleet(hub: RunningHub, processes: list[Process]) -> RunningHub:
    del processes
    return hub


def rollout(hub: RunningHub, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the last line, which is the report."""
    result = edgeyard(hub.home, "job", "rollout", *arguments, "--yes", "-o", "json")
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout.splitlines()[-1])


def desired(hub: RunningHub, name: str) -> list[Any]:
    shown = [json.loads(edgeyard(hub.home, "twin", "show", device, "-o", "json").stdout) for device in DEVICES]
    return [twin["properties"]["desired"].get(name) for twin in shown]


@contextmanager
def hanging(processes: list[Process]) -> Iterator[None]:
    """Devices that stay connected and do nothing."""
    for each in processes:
        each.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in processes:
            each.process.send_signal(signal.SIGCONT)


def test_a_canary_that_refuses_the_value_ends_the_rollout_and_is_undone(fleet: RunningHub) -> None:
    bad = ("--desired", "reportingInterval=-1", "--schema", "none")
    code, report = rollout(fleet, *WHERE, *bad, "--waves", "1,100%", "--abort-if", "10% of 1")
    assert (code, report["state"], report["wave"], report["states"]) == (1, "aborted", 1, {"refused": 1})
    assert sorted(desired(fleet, "reportingInterval"), key=str) == [-1, None, None]
    [reached] = [name for name, value in zip(DEVICES, desired(fleet, "reportingInterval"), strict=True) if value]
    told = edgeyard(fleet.home, "job", "explain", report["job"], reached).stdout
    assert ("refused" in told, "reportingInterval" in told) == (True, True), told
    undone = edgeyard(fleet.home, "job", "undo", report["job"], "--yes")
    assert (undone.returncode, desired(fleet, "reportingInterval")) == (0, [None] * 3)


def test_devices_that_never_answer_hold_the_rollout_until_they_do(fleet: RunningHub, processes: list[Process]) -> None:
    what = (*WHERE, "--desired", "maxTemperature=31", "--waves", "1,100%", "--require", "acknowledged >= 100%")
    with hanging(processes):
        code, report = rollout(fleet, *what, "--timeout", "1")
        assert (code, report["state"], report["states"]) == (3, "held", {"timed out": 1}), report
        assert "acknowledged" in report["cause"]
        again, held = rollout(fleet, "--resume", report["job"], "--timeout", "1")
        assert (again, held["state"], held["wave"]) == (3, "held", 1)
    code, report = rollout(fleet, "--resume", report["job"])
    assert (code, report["state"], report["states"]) == (0, "done", {"acknowledged": 3}), report
    assert desired(fleet, "maxTemperature") == [31] * 3
