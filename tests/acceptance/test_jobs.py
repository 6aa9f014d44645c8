"""`edgeyard job run` against simulated devices on azure-iot-device, each its own process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.support import Process, RunningHub, edgeyard, eventually

pytestmark = pytest.mark.acceptance
DEVICES = ("job-a", "job-b")


@pytest.fixture(scope="module")
def devices(hub: RunningHub) -> Iterator[RunningHub]:
    """Two running devices of building B1 and one of building B2 that never runs."""
    for device in DEVICES:
        assert edgeyard(hub.home, "devices", "create", device, "--tag", "building=B1").returncode == 0
    assert edgeyard(hub.home, "devices", "create", "job-silent", "--tag", "building=B2").returncode == 0
    eventually(lambda: len(json.loads(edgeyard(hub.home, "query", "SELECT * FROM devices", "-o", "json").stdout)) == 3)
    running = [Process(hub.home, "device", "run", device, until="connected") for device in DEVICES]
    yield hub
    assert [process.stop() for process in running] == [0, 0]


def run_job(hub: RunningHub, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = edgeyard(hub.home, "job", "run", *arguments, "--output", "json")
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_every_matching_device_acknowledges(devices: RunningHub) -> None:
    code, report = run_job(devices, "--where", "tags.building = 'B1'", "--desired", "reportingInterval=2")
    assert code == 0
    assert (report["matched"], report["written"], report["acknowledged"]) == (2, 2, 2)
    rows = json.loads(edgeyard(devices.home, "query", "SELECT * FROM devices", "-o", "json").stdout)
    intervals = {row["deviceId"]: row["properties"]["reported"].get("reportingInterval") for row in rows}
    assert intervals["job-silent"] is None
    assert {intervals[device]["value"] for device in DEVICES} == {2}


def test_a_value_that_the_devices_refuse_comes_back_with_their_reason(devices: RunningHub) -> None:
    code, report = run_job(devices, "--where", "tags.building = 'B1'", "--desired", "reportingInterval=-1")
    assert code == 1
    assert set(report["refused"]) == set(DEVICES)
    assert "reportingInterval" in report["refused"]["job-a"]


def test_silent_devices_are_named_and_the_rest_counts_as_partly_done(devices: RunningHub) -> None:
    where = "tags.building IN ['B1', 'B2']"
    code, report = run_job(devices, "--where", where, "--desired", "reportingInterval=3", "--timeout", "4")
    assert (code, report["silent"], report["acknowledged"]) == (3, ["job-silent"], 2)


def test_a_condition_that_is_no_query_is_wrong_use(devices: RunningHub) -> None:
    result = edgeyard(devices.home, "job", "run", "--where", "tags.building LIKE 'B%'", "--desired", "a=1")
    assert (result.returncode, "ArgumentInvalid" in result.stderr) == (2, True)


def test_a_device_reboots_and_says_when(devices: RunningHub) -> None:
    result = edgeyard(devices.home, "methods", "job-a", "reboot", "--payload", '{"delaySeconds": 0}')
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == 200
