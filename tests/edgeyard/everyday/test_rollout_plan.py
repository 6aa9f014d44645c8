"""`edgeyard job plan` for a rollout, the rollout that its file gives, and what both refuse."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub_tools.devices import change_in_bulk
from hub_tools.jobs.population import count
from tests.edgeyard.everyday.conftest import Command, Result
from tests.hub_tools.conftest import RunningHub

FLEET = ("--where", "tags.plan = true", "--desired", "reportingInterval=7")
WAVES = ("--canary", "2", "--waves", "50%,100%", "--bake", "30m")
DEVICES = [f"p{number:02}" for number in range(12)]


@pytest.fixture
async def fleet(hub: RunningHub) -> AsyncIterator[None]:
    """Twelve devices that queries know; none of them has a tag of a wave."""
    async with hub.service() as service:
        made = uuid.uuid4().hex  # on a hub like Azure's, queries may find those of the test before for a while
        items = [{"id": name, "importMode": "create", "tags": {"plan": True, "made": made}} for name in DEVICES]
        await change_in_bulk(service, items)
        while await count(service, f"tags.plan = true AND tags.made = '{made}'") < len(DEVICES):
            await asyncio.sleep(0.1)
        yield
        await change_in_bulk(service, [{"id": name, "importMode": "delete"} for name in DEVICES])


@pytest.fixture
def yard(edgeyard: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `edgeyard job` in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    return partial(edgeyard, "job")


async def tags(hub: RunningHub) -> list[Any]:
    async with hub.service() as service:
        return [row async for row in service.query("SELECT deviceId, tags.w2 AS w FROM devices WHERE tags.plan = true")]


async def one_leaves(hub: RunningHub) -> None:
    async with hub.service() as service:
        await change_in_bulk(service, [{"id": "p00", "importMode": "updateTwin", "tags": {"plan": False}}])
        while not await count(service, "tags.plan = false"):
            await asyncio.sleep(0.1)


def waves_in(result: Result) -> list[list[str]]:
    lines = result.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("WAVE"))
    return [line.split() for line in lines[start + 1 :] if line[0].isdigit()]


@pytest.mark.usefixtures("fleet")
def test_a_plan_has_a_line_for_each_wave_that_fits_the_terminal(yard: Command) -> None:
    found = yard("plan", *FLEET, *WAVES, "--tier", "S1", "--require", "success >= 90%", "--abort-if", "5% of 20")
    assert found.code == 0
    table = found.out[found.out.index("WAVE") :].splitlines()
    assert table[0].split() == ["WAVE", "DEVICES", "OFFLINE", "HOLD", "IT", "WRITING", "BAKE", "OVER", "AFTER"]
    assert max(map(len, table)) <= 80
    assert waves_in(found) == [
        ["1:", "2", "2", "2", "0", "<1s", "30m", "30m9s"],
        ["2:", "50%", "4", "4", "0", "<1s", "30m", "1h12s"],
        ["3:", "100%", "6", "6", "0", "<1s", "none", "1h15s"],
    ]
    text = " ".join(found.out.split())
    assert "wave 2: 4 offline: 4 never seen" in text
    assert "wave 3: 6 twin updates ÷ 50/s" in text
    assert "success >= 90%: at least 90% of the wave's devices neither failed, refused nor stayed silent" in text
    assert "it ends for good when more than 5% of at least 20 devices failed" in text
    assert "in all 1 h 15 s at the earliest" in text
    assert "waves go by direct, cohorts by the salt rollout-" in text
    assert "cost: " in text


@pytest.mark.usefixtures("fleet")
def test_with_a_start_the_plan_says_when(yard: Command) -> None:
    found = yard("plan", *FLEET, *WAVES, "--tier", "S1", "--start", "2026-12-31T23:00:00Z")
    assert [row[-2:] for row in waves_in(found)] == [["12-31", "23:30"], ["01-01", "00:00"], ["01-01", "00:00"]]


@pytest.mark.usefixtures("fleet")
def test_the_cost_of_a_cohort_tag_is_told(yard: Command) -> None:
    found = yard("plan", *FLEET, *WAVES, "--tier", "S1", "--cohort-tag", "wave")
    text = " ".join(found.out.split())
    assert "first tags.wave on 12 devices (0 have it), by direct in under 1 s, 0.0% of the 400,000 messages" in text
    assert "tags: 12 × 1, and 1 queries" in text


@pytest.mark.usefixtures("fleet")
def test_a_rollout_in_python_is_planned_too(yard: Command, tmp_path: Path) -> None:
    (tmp_path / "r.py").write_text(
        "from hub_tools.jobs import JobSpec, Rollout\n"
        "rollout = Rollout(JobSpec(where='tags.plan = true', tags={'a': 1})).canary(3).then(100).cohort_tag('w')\n"
    )
    found = yard("plan", "r.py", "-o", "json")
    assert [wave["devices"] for wave in found.json["waves"]] == [3, 9]
    assert found.json["tagging"]["devices"] == 12
    refused = yard("plan", "r.py", "--canary", "2")
    assert (refused.code, "waves go into a Python file" in refused.err) == (2, True)
    assert "leave out --where" in (yard("plan", "r.py", "--where", "*")).err


@pytest.mark.usefixtures("fleet")
def test_a_plan_and_its_rollout_have_the_same_cohorts(yard: Command, hub: RunningHub, tmp_path: Path) -> None:
    planned = yard("plan", *FLEET, "--canary", "2", "--waves", "50%,100%", "--cohort-tag", "w2", "--out", "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    done = yard("rollout", "--plan", "p.json", "--yes", "--no-wait", "--path", "jobs")
    assert (planned.code, done.code, "leave out what it holds" in done.err) == (0, 2, True)
    done = yard("rollout", "--plan", "p.json", "--yes", "--path", "jobs")
    assert done.code == 3, "nobody is connected to acknowledge"
    assert "WAVE" in done.out, "the same table before anything is asked"
    rows = asyncio.run(tags(hub))
    assert Counter(row["w"] for row in rows) == {1: 2, 2: 4, 3: 6}
    for wave in document["waves"]:
        tagged = {row["deviceId"] for row in rows if row["w"] == wave["wave"]}
        assert set(wave["examples"]) <= tagged
    again = yard("rollout", "--plan", "p.json", "--yes")
    assert (again.code, "was begun already: edgeyard job rollout --resume" in again.err) == (2, True)
    assert (yard("run", "--plan", "p.json")).code == 2
    undone = yard("undo", f"{document['job']['id']}-cohort-2", "--yes")
    assert "4 restored" in undone.out
    part = yard("retry", f"{document['job']['id']}-cohort-2", "--yes")
    assert (part.code, "is a part of rollout-" in part.err) == (2, True)


@pytest.mark.usefixtures("fleet")
def test_a_plan_that_has_drifted_is_refused(yard: Command, hub: RunningHub) -> None:
    assert (yard("plan", *FLEET, *WAVES, "--out", "p.json")).code == 0
    asyncio.run(one_leaves(hub))
    refused = yard("rollout", "--plan", "p.json", "--yes")
    assert (refused.code, "allow it with --max-drift 8.3%" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rollout", *FLEET, "--path", "jobs"), "--cohort-tag NAME"),
        (("rollout", *FLEET, "--path", "jobs", "--cohort-tag", "w", "--rate", "2"), "keeps to no --rate"),
        (("rollout", *FLEET, "--cohort-tag", "a.b"), "letters, digits and _"),
        (("rollout", *FLEET, "--cohort-tag", ""), "write the name of a tag"),
        (("rollout", "--plan", "none.json"), "--plan none.json cannot be read"),
        (("rollout", "--plan", "none.json", "--canary", "2"), "leave out what it holds already"),
        (("rollout", "--plan", "none.json", "--resume", "rollout-1"), "leave out what it holds already"),
        (("rollout", *FLEET, "--max-drift", "much"), "write a share such as 5%"),
        (("plan", *FLEET, *WAVES, "--quick"), "--quick does not read them all"),
        (("plan", "--all", "--method", "reboot", "--canary", "2"), "goes by edgeyard job run"),
        (("plan", *FLEET, *WAVES, "--path", "jobs"), "--cohort-tag NAME"),
        (("plan", *FLEET, *WAVES, "--start", "soon"), "write a time such as"),
        (("plan", *FLEET, *WAVES, "--out", "no/such/folder"), "--out no/such/folder cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line(yard: Command, arguments: tuple[str, ...], words: str) -> None:
    refused = yard(*arguments)
    said = [line for line in refused.err.splitlines() if line]
    assert (refused.code, len(said), words in said[-1]) == (2, 1, True)
