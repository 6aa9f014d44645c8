"""A rollout in one process, approved, paused and watched from others."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from iot_core.identity import Identity
from tests.acceptance.support import PROJECT, Process, RunningHub, clean, edgeyard, eventually

pytestmark = pytest.mark.acceptance
DEVICES = ("wave-0", "wave-1", "wave-2")


@pytest.fixture(scope="module")
def fleet(hub: RunningHub) -> RunningHub:
    """Devices that never connect."""
    rows = "".join(f"{name},w\n" for name in DEVICES)
    file = hub.home / "devices.csv"
    file.write_text(f"deviceId,tags.fleet\n{rows}")
    made = edgeyard(hub.home, "devices", "import", str(file), "--yes")
    assert made.returncode == 0, made.stderr
    count = "SELECT * FROM devices WHERE tags.fleet = 'w'"
    eventually(lambda: len(json.loads(edgeyard(hub.home, "query", count, "-o", "json").stdout)) == len(DEVICES))
    return hub


@contextmanager
def rollout(hub: RunningHub, value: int, *options: str) -> Iterator[tuple[Process, str]]:
    """A rollout in two waves that waits for somebody, in a process of its own; and its id."""
    what = ("--where", "tags.fleet = 'w'", "--desired", f"n={value}", "--schema", "none")
    waves = ("--waves", "1,100%", "--approve", *options)
    running = Process(hub.home, "job", "rollout", *what, *waves, "--yes", until="waits for")
    try:
        yield running, running.line.split()[-1]
    finally:
        running.process.kill()
        running.process.wait()


def ended(process: Process) -> int:
    return process.process.wait(timeout=40)


def waits(process: Process, wave: int) -> None:
    eventually(lambda: any(f"wave {wave} of 2" in line and "waits for" in line for line in process.lines()))


def have(hub: RunningHub, value: int) -> int:
    async def read() -> int:
        async with hub.service() as service:
            twins = [await service.get_twin(Identity(name)) for name in DEVICES]
        return sum(twin["properties"]["desired"].get("n") == value for twin in twins)

    return asyncio.run(read())


def notes(hub: RunningHub, job: str, kind: str) -> list[dict[str, Any]]:
    lines = (hub.home / "jobs" / job / "journal").read_text().splitlines()
    return [entry for entry in (json.loads(line.partition(" ")[2]) for line in lines) if entry["k"] == kind]


def test_each_wave_begins_when_somebody_elsewhere_approves_it(fleet: RunningHub) -> None:
    with rollout(fleet, 1) as (running, job):
        approved = edgeyard(fleet.home, "job", "approve", job, "--reason", "quiet night")
        assert (approved.returncode, f"wave 1 of {job} may begin" in approved.stdout) == (0, True)
        waits(running, 2)
        later = next(name for name in DEVICES if "turn" in edgeyard(fleet.home, "job", "explain", job, name).stdout)
        told = edgeyard(fleet.home, "job", "explain", job, later).stdout
        assert "its turn is in wave 2 of 2; wave 2 is waiting" in told
        assert edgeyard(fleet.home, "job", "approve", job).returncode == 0
        assert ended(running) == 3, running.lines()
    watched = edgeyard(fleet.home, "job", "watch", job)
    assert (watched.returncode, "3 written" in watched.stdout) == (3, True)
    assert have(fleet, 1) == len(DEVICES)
    assert [(note["wave"], note["reason"]) for note in notes(fleet, job, "approval")] == [(1, "quiet night"), (2, "")]


def test_a_rollout_that_waits_is_paused_from_elsewhere_and_goes_on_later(fleet: RunningHub) -> None:
    with rollout(fleet, 2) as (running, job):
        paused = edgeyard(fleet.home, "job", "pause", job, "--reason", "alarms in B1")
        assert (paused.returncode, "told to pause" in paused.stdout) == (0, True)
        assert ended(running) == 3
        assert any("is paused: paused by" in line and "alarms in B1" in line for line in running.lines())
    assert [note["reason"] for note in notes(fleet, job, "pause")] == ["alarms in B1"]
    again = edgeyard(fleet.home, "job", "pause", job)
    assert (again.returncode, "stands still already" in again.stderr) == (2, True)
    assert edgeyard(fleet.home, "job", "approve", job).returncode == 0, "also while nobody runs it"
    resumed = Process(fleet.home, "job", "rollout", "--resume", job, "--yes", until="wave 1 was approved by")
    waits(resumed, 2)
    assert have(fleet, 2) == 1
    assert edgeyard(fleet.home, "job", "approve", job).returncode == 0
    assert ended(resumed) == 3
    assert have(fleet, 2) == len(DEVICES)


def test_an_approval_outlives_a_process_that_was_killed_before_it_read_it(fleet: RunningHub) -> None:
    with rollout(fleet, 3) as (running, job):
        running.process.kill()
        running.process.wait()
    assert edgeyard(fleet.home, "job", "approve", job).returncode == 0
    assert edgeyard(fleet.home, "job", "approve", job).returncode == 0, "twice is as once"
    resumed = Process(fleet.home, "job", "rollout", "--resume", job, "--yes", until="wave 1 was approved by")
    waits(resumed, 2)
    assert have(fleet, 3) == 1
    resumed.process.kill()
    resumed.process.wait()


def test_what_cannot_be_told_is_refused_in_one_line(fleet: RunningHub) -> None:
    what = ("--where", "tags.fleet = 'w'", "--desired", "n=4", "--schema", "none", "--yes", "-o", "json")
    lines = edgeyard(fleet.home, "job", "rollout", *what, "--waves", "100%").stdout.splitlines()
    over = json.loads(lines[-1])["job"]
    plain = json.loads(edgeyard(fleet.home, "job", "run", *what[:-3], "-o", "json").stdout.splitlines()[-1])["job"]
    for verb, job, why in (
        ("approve", over, "nothing left to approve"),
        ("pause", over, "nothing left to approve or to pause"),
        ("approve", plain, "is no rollout"),
        ("pause", "rollout-none", "there is no journal"),
    ):
        told = edgeyard(fleet.home, "job", verb, job)
        assert (told.returncode, told.stderr.count("\n"), why in told.stderr) == (2, 1, True), told.stderr


@pytest.mark.parametrize(("typed", "written"), [(b"y\n", 1), (b"\n", 0)])
def test_whoever_sits_at_the_terminal_may_answer_too(fleet: RunningHub, typed: bytes, written: int) -> None:
    ours, theirs = os.openpty()
    value = 10 + written
    command = ["job", "rollout", "--where", "tags.fleet = 'w'", "--desired", f"n={value}", "--schema", "none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeyard", *command, "--waves", "1,100%", "--approve", "--yes"],
        cwd=PROJECT,
        env=clean(fleet.home),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    os.write(ours, typed)  # the second question finds nobody who answers before the end of input
    os.write(ours, b"n\n")
    process.wait(timeout=40)
    process.stderr.close()
    os.close(ours)
    os.close(theirs)
    assert have(fleet, value) == written
