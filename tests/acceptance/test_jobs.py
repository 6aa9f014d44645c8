"""`edgeyard job run` against simulated devices on azure-iot-device, each its own process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local_hub.home import HubHome
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
    """The exit code and the last line, which is the report."""
    result = edgeyard(hub.home, "job", "run", *arguments, "--output", "json")
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout.splitlines()[-1])


def test_every_matching_device_acknowledges(devices: RunningHub) -> None:
    code, report = run_job(devices, "--where", "tags.building = 'B1'", "--desired", "reportingInterval=2")
    assert (code, report["matched"], report["states"]) == (0, 2, {"acknowledged": 2})
    rows = json.loads(edgeyard(devices.home, "query", "SELECT * FROM devices", "-o", "json").stdout)
    intervals = {row["deviceId"]: row["properties"]["reported"].get("reportingInterval") for row in rows}
    assert intervals["job-silent"] is None
    assert {intervals[device]["value"] for device in DEVICES} == {2}


def test_a_value_that_the_schema_refuses_is_not_sent(devices: RunningHub) -> None:
    where = ("--where", "tags.building = 'B1'")
    result = edgeyard(devices.home, "job", "run", *where, "--desired", "reportingInterval=-1")
    assert (result.returncode, "must be at least 0.2" in result.stderr) == (2, True)


def test_a_value_that_the_devices_refuse_comes_back_with_their_reason(devices: RunningHub) -> None:
    where = ("--where", "tags.building = 'B1'")
    code, report = run_job(devices, *where, "--desired", "reportingInterval=-1", "--schema", "none")
    assert (code, report["states"]) == (1, {"refused": 2})
    (cause,) = report["causes"]
    assert set(cause["devices"]) == set(DEVICES)
    assert "reportingInterval" in cause["cause"]


def test_offline_devices_are_told_and_the_rest_counts_as_partly_done(devices: RunningHub) -> None:
    where = "tags.building IN ['B1', 'B2']"
    code, report = run_job(devices, "--where", where, "--desired", "reportingInterval=3")
    assert (code, report["states"]) == (3, {"written": 1, "acknowledged": 2})


def test_a_method_is_called_on_all_that_are_there(devices: RunningHub) -> None:
    code, report = run_job(devices, "--all", "--method", "reboot", "--payload", '{"delaySeconds": 60}')
    assert (code, report["states"]) == (3, {"acknowledged": 2, "failed": 1})
    assert [cause["devices"] for cause in report["causes"]] == [["job-silent"]]


def test_a_plan_tells_and_changes_nothing_until_it_is_run(devices: RunningHub, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    what = ("--where", "tags.building = 'B1'", "--desired", "maxTemperature=28")
    result = edgeyard(devices.home, "job", "plan", *what, "--tier", "S2:10", "--out", str(file), "-o", "json")
    plan = json.loads(result.stdout)
    assert (plan["matched"], plan["connected"], plan["path"]) == (2, 2, "direct")
    assert plan["classes"][0]["changes"] == [{"path": "desired.maxTemperature", "before": None, "after": 28}]
    assert plan["acknowledgement"] == {"acknowledged": 2}
    code, report = run_job(devices, "--plan", str(file))
    assert (code, report["job"], report["states"]) == (0, plan["job"]["id"], {"acknowledged": 2})


def set_tag(hub: RunningHub, device: str, *, drifting: int) -> None:
    """Let the device drift in, and wait until so many are known to queries."""
    edgeyard(hub.home, "twin", "set", device, "--tag", "drifting=1")
    query = "SELECT deviceId FROM devices WHERE tags.drifting = 1"
    eventually(lambda: len(json.loads(edgeyard(hub.home, "query", query, "-o", "json").stdout)) == drifting)


def test_a_plan_for_another_population_is_refused(devices: RunningHub, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    what = ("--where", "tags.drifting = 1", "--tag", "drifted=true")
    set_tag(devices, "job-a", drifting=1)
    assert edgeyard(devices.home, "job", "plan", *what, "--out", str(file)).returncode == 0
    set_tag(devices, "job-b", drifting=2)
    result = edgeyard(devices.home, "job", "run", "--plan", str(file), "--max-drift", "10%")
    assert (result.returncode, "50.0%" in result.stderr) == (1, True)


def test_the_hubs_part_of_a_job_can_be_listed_and_watched(devices: RunningHub) -> None:
    run_job(devices, "--where", "tags.building = 'B1'", "--tag", "seen=1", "--path", "jobs")
    jobs = json.loads(edgeyard(devices.home, "job", "list", "-o", "json").stdout)
    assert (jobs[0]["status"], jobs[0]["devices"], jobs[0]["succeeded"]) == ("completed", 2, 2)
    assert edgeyard(devices.home, "job", "watch", jobs[0]["job"]).returncode == 0
    (devices.home / "jobs" / jobs[0]["job"] / "status").unlink()
    watched = edgeyard(devices.home, "job", "watch", jobs[0]["job"])
    assert (watched.returncode, "2 succeeded" in watched.stdout) == (0, True)


@pytest.fixture
def container(devices: RunningHub) -> str:
    """A new container of the hub's own blob endpoint, as --journal takes it."""
    files = HubHome(devices.home)
    account = files.storage_connection_string.read_text().strip()
    with BlobServiceClient.from_connection_string(account, connection_verify=str(files.authority)) as client:
        client.create_container("journals").close()
    return f"{account};Container=journals"


def test_a_colleague_watches_explains_and_undoes_a_job_whose_journal_lies_in_a_container(
    devices: RunningHub, container: str, tmp_path: Path
) -> None:
    # What another machine has of a hub: how to reach it, and whom to trust.
    (tmp_path / "hub").mkdir()
    shutil.copy(HubHome(devices.home).authority, HubHome(tmp_path).authority)
    there = ("--hub", HubHome(devices.home).owner_connection_string.read_text().strip())
    what = ("--where", "tags.building = 'B1'", "--tag", "kept=elsewhere", "--reason", "a trial")
    code, report = run_job(devices, *what, "--journal", container)
    job = report["job"]
    assert (code, (devices.home / "jobs" / job).exists(), (tmp_path / "jobs").exists()) == (0, False, False)
    without = edgeyard(tmp_path, "job", "explain", job, "job-a", *there)
    assert (without.returncode, "there is no journal" in without.stderr) == (2, True), without.stderr
    watched = edgeyard(tmp_path, "job", "watch", job, "--journal", container, *there)
    assert (watched.returncode, "2 devices" in watched.stdout) == (0, True)
    explained = edgeyard(tmp_path, "job", "explain", job, "job-a", "--journal", container, *there)
    assert "a trial" in explained.stdout
    assert 'kept: nothing before, "elsewhere" now' in explained.stdout
    undone = edgeyard(tmp_path, "job", "undo", job, "--journal", container, "--yes", *there)
    assert undone.returncode == 0, undone.stderr
    [told] = json.loads(edgeyard(tmp_path, "job", "journals", "--journal", container, "-o", "json").stdout)
    assert (told["job"], told["states"], told["undone"]) == (job, {"written": 2}, 2)
    table = edgeyard(tmp_path, "job", "journals", "--journal", container).stdout
    assert "undone" in table
    shown = json.loads(edgeyard(devices.home, "twin", "show", "job-a", "-o", "json").stdout)
    assert "kept" not in shown["tags"]


def test_a_container_that_is_none_is_wrong_use_and_its_key_is_not_told(devices: RunningHub) -> None:
    place = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0"
    what = ("--where", "tags.building = 'B1'", "--tag", "a=1", "--journal", place)
    result = edgeyard(devices.home, "job", "run", *what)
    assert (result.returncode, "Container=NAME" in result.stderr, "c2VjcmV0" in result.stderr) == (2, True, False)


@pytest.mark.parametrize("where", [["--where", "tags.building LIKE 'B%'"], [], ["--where", "*"]])
def test_a_population_that_is_none_is_wrong_use(devices: RunningHub, where: list[str]) -> None:
    result = edgeyard(devices.home, "job", "run", *where, "--desired", "a=1")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_a_device_reboots_and_says_when(devices: RunningHub) -> None:
    result = edgeyard(devices.home, "methods", "call", "job-a", "reboot", "--payload", '{"delaySeconds": 0}')
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == 200
