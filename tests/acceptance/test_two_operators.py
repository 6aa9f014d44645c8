"""Two operators at once, each with processes of their own: on one journal, and on the same devices."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from iot_core.identity import Identity
from local_hub.home import HubHome
from tests.acceptance.support import PROJECT, Process, RunningHub, clean, edgeyard, eventually

pytestmark = pytest.mark.acceptance
DEVICES = tuple(f"shared-{number:02}" for number in range(30))
numbers = itertools.count(1)
WHERE = ("--where", "tags.fleet = 'shared'")


@pytest.fixture(scope="module")
def fleet(hub: RunningHub) -> RunningHub:
    """Devices that never connect."""
    file = hub.home / "devices.csv"
    file.write_text("deviceId,tags.fleet\n" + "".join(f"{name},shared\n" for name in DEVICES))
    made = edgeyard(hub.home, "devices", "import", str(file), "--yes")
    assert made.returncode == 0, made.stderr
    count = "SELECT * FROM devices WHERE tags.fleet = 'shared'"
    eventually(lambda: len(json.loads(edgeyard(hub.home, "query", count, "-o", "json").stdout)) == len(DEVICES))
    return hub


@pytest.fixture(params=["folder", "container"])
def place(request: pytest.FixtureRequest, fleet: RunningHub) -> Iterator[tuple[str, ...]]:
    """Where both keep their journals: a folder of one machine, or a container with a lease."""
    name = f"their-jobs-{next(numbers)}"
    if request.param == "folder":
        yield ("--journal", str(fleet.home / name))
        return
    files = HubHome(fleet.home)
    account = files.storage_connection_string.read_text().strip()
    with BlobServiceClient.from_connection_string(account, connection_verify=str(files.authority)) as client:
        client.create_container(name).close()
    yield ("--journal", f"{account};Container={name}")


def desired(hub: RunningHub) -> dict[str, dict[str, Any]]:
    async def read() -> dict[str, dict[str, Any]]:
        async with hub.service() as service:
            twins = {name: await service.get_twin(Identity(name)) for name in DEVICES}
        return {name: dict(twin["properties"]["desired"]) for name, twin in twins.items()}

    return asyncio.run(read())


def held(hub: RunningHub, name: str) -> Counter[Any]:
    return Counter(each.get(name) for each in desired(hub).values())


def together(hub: RunningHub, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """What several commands gave that began at once."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "edgeyard", *command],
            cwd=PROJECT,
            env=clean(hub.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    ended = []
    for command, process in zip(commands, running, strict=True):
        output, errors = process.communicate(timeout=50)
        ended.append(subprocess.CompletedProcess(command, process.returncode, output, errors))
    return ended


def waiting_rollout(hub: RunningHub, value: int, *place: str) -> tuple[Process, str]:
    """A rollout in two waves that waits for somebody, and its id."""
    what = (*WHERE, "--desired", f"waited={value}", "--schema", "none", *place)
    running = Process(hub.home, "job", "rollout", *what, "--waves", "10,100%", "--approve", "--yes", until="waits for")
    return running, running.line.split()[-1]


def stop(process: Process) -> None:
    process.process.kill()
    process.process.wait()


def test_while_one_works_on_a_job_another_may_look_and_is_refused_by_name_to_go_on(
    fleet: RunningHub, place: tuple[str, ...]
) -> None:
    value = next(numbers)
    running, job = waiting_rollout(fleet, value, *place)
    try:
        for verb in (("undo", job), ("rollout", "--resume", job)):
            told = edgeyard(fleet.home, "job", *verb, *place, "--yes")
            seen = (told.returncode, told.stderr.count("\n"), "is being worked on by" in told.stderr)
            assert seen == (2, 1, True), told.stderr
        shown = json.loads(edgeyard(fleet.home, "job", "journals", *place, "-o", "json").stdout)
        assert [each["rollout"] for each in shown if each["job"] == job] == ["waiting"]
        assert edgeyard(fleet.home, "job", "approve", job, *place).returncode == 0
        eventually(lambda: any("wave 2 of 2" in line and "waits for" in line for line in running.lines()))
        assert edgeyard(fleet.home, "job", "pause", job, *place).returncode == 0
        assert running.process.wait(timeout=40) == 3
    finally:
        stop(running)
    assert held(fleet, "waited")[value] == 10


def test_of_two_who_go_on_with_a_job_or_undo_it_at_once_one_does(fleet: RunningHub, place: tuple[str, ...]) -> None:
    what = (*WHERE, "--desired", "raced=1", "--schema", "none", "--no-wait", *place)
    running = Process(
        fleet.home, "job", "rollout", *what, "--waves", "10,100%", "--bake", "9s", "--yes", "-o", "json", until="baking"
    )
    job = json.loads(edgeyard(fleet.home, "job", "journals", *place, "-o", "json").stdout)[0]["job"]
    assert edgeyard(fleet.home, "job", "pause", job, *place).returncode == 0
    assert running.process.wait(timeout=40) == 3
    versions = {name: each["$version"] - each.get("raced", 0) for name, each in desired(fleet).items()}

    both = together(fleet, *[("job", "rollout", "--resume", job, *place, "--yes")] * 2)
    for each in both:
        # The slower one may find that the other has come to the end.
        assert each.returncode == 0 or "somebody else" in each.stderr or "being worked on" in each.stderr, each
    assert 0 in [each.returncode for each in both]
    assert {name: (each["raced"], each["$version"]) for name, each in desired(fleet).items()} == {
        name: (1, version + 1) for name, version in versions.items()
    }

    both = together(fleet, *[("job", "undo", job, *place, "--yes")] * 2)
    for each in both:
        assert each.returncode == 0 or "somebody else" in each.stderr or "being worked on" in each.stderr, each
    assert 0 in [each.returncode for each in both], both
    assert {name: (each.get("raced"), each["$version"]) for name, each in desired(fleet).items()} == {
        name: (None, version + 2) for name, version in versions.items()
    }


def test_two_jobs_that_set_one_value_at_once_both_know_what_they_put_back(fleet: RunningHub) -> None:
    runs = [
        ("job", "run", *WHERE, "--desired", f"fought={value}", "--schema", "none", "--no-wait", "--path", path, "--yes")
        for value, path in ((1, "direct"), (2, "bulk"))
    ]
    versions = {name: each["$version"] for name, each in desired(fleet).items()}
    done = together(fleet, *[(*run, "-o", "json") for run in runs])
    reports = [json.loads(each.stdout.splitlines()[-1]) for each in done]
    assert [report["states"] for report in reports] == [{"written": len(DEVICES)}] * 2
    last = {name: each["fought"] for name, each in desired(fleet).items()}
    assert {name: each["$version"] for name, each in desired(fleet).items()} == {
        name: version + 2 for name, version in versions.items()
    }

    undone = together(fleet, *[("job", "undo", report["job"], "--yes", "-o", "json") for report in reports])
    for value, each in zip((1, 2), undone, strict=True):
        told = json.loads(each.stdout)
        assert set(told["left"]) == {name for name in DEVICES if last[name] != value}, "listed, and whose it is"
    assert {name: each["fought"] for name, each in desired(fleet).items()} == {
        name: 3 - value for name, value in last.items()
    }, "what the first of the two had written"


def test_whoever_plans_or_begins_a_job_is_told_of_a_colleagues_that_has_not_ended(
    fleet: RunningHub, tmp_path: Path
) -> None:
    place = ("--journal", str(tmp_path))
    same, other = [(*WHERE, "--desired", f"{name}=0", "--schema", "none", *place) for name in ("waited", "something")]
    running, job = waiting_rollout(fleet, next(numbers), *place)
    try:
        plan = edgeyard(fleet.home, "job", "plan", *same)
        assert (plan.returncode, f"overlaps with waiting job {job} of " in plan.stdout) == (0, True), plan.stdout
        assert f"on {len(DEVICES)} devices, which sets desired.waited too" in plan.stdout
        [told] = json.loads(edgeyard(fleet.home, "job", "plan", *other, "-o", "json").stdout)["overlaps"]
        assert (told["job"], told["devices"], told["values"]) == (job, len(DEVICES), [])
        begun = edgeyard(fleet.home, "job", "run", *other, "--no-wait", "--yes")
        assert (begun.returncode, f"job {job} of " in begun.stderr) == (0, True), begun.stderr
        assert edgeyard(fleet.home, "job", "approve", job, *place).returncode == 0
        eventually(lambda: any("wave 2 of 2" in line and "waits for" in line for line in running.lines()))
        assert edgeyard(fleet.home, "job", "pause", job, *place).returncode == 0
        running.process.wait(timeout=40)
        waves = edgeyard(fleet.home, "job", "rollout", *other, "--waves", "100%", "--no-wait", "--yes")
        assert (waves.returncode, f"overlaps with paused job {job}" in waves.stdout) == (0, True), waves.stderr
    finally:
        stop(running)
    undone = edgeyard(fleet.home, "job", "undo", job, *place, "--yes")
    assert undone.returncode == 0, undone.stderr
    plan = edgeyard(fleet.home, "job", "plan", *same, "-o", "json")
    assert json.loads(plan.stdout)["overlaps"] == [], "a job that was undone does not go on"
