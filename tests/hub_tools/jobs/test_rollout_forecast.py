"""The forecast of a rollout: the devices of each wave, its time by the throttles and the rate, and the cohorts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs import Capacity, JobSpec, PlanDriftError, Rollout, Window, make_path, run_rollout
from hub_tools.jobs.cohorts import bounds, ends, parse_waves, ranked
from hub_tools.jobs.gates import meaning, parse_gate
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.planning import check_drift, read_plan
from hub_tools.jobs.rollout_forecast import RolloutPlan, make_rollout_plan
from hub_tools.service import HubService
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

SPEC = JobSpec(where="tags.site = 'a'", desired={"rate": 5}, job_id="rollout-1", wait=False)
ROLLOUT = Rollout(SPEC).canary(4).then(50, 100).salted("s")
DEVICES = [f"d{number:03}" for number in range(100)]
S1 = Capacity.parse("S1")
FULL = "ffffffffffffffff"


def fleet(connected: bool = True) -> FakeHub:
    return FakeHub(*DEVICES, connected=connected, tags={"site": "a"})


async def forecast(hub: FakeHub, rollout: Rollout = ROLLOUT, **options: Any) -> RolloutPlan:
    common = {"capacity": S1, "path": "direct", "timing": by_hand()[1]}
    return await make_rollout_plan(cast(HubService, hub), rollout, **{**common, **options})


async def test_each_wave_tells_its_devices_who_is_away_and_who_holds_the_value() -> None:
    hub = fleet()
    first = ranked(DEVICES, "s")
    hub.connected[first[0]] = False
    for name in first[:3]:
        hub.write(name, {"properties": {"desired": {"rate": 5}}})
    plan = await forecast(hub)
    assert [(wave.upto, wave.devices, wave.connected) for wave in plan.waves] == [
        ("4", 4, 3),
        ("50%", 46, 46),
        ("100%", 50, 50),
    ]
    canary = plan.waves[0]
    assert (canary.offline, canary.holding, canary.examples) == ({"never seen": 1}, 3, tuple(first[:4]))


async def test_a_forecast_changes_nothing() -> None:
    hub = fleet()
    before = [hub.twin(name) for name in DEVICES]
    await forecast(hub, ROLLOUT.cohort_tag("wave").bake("1h").require("success >= 90%"))
    assert ([hub.twin(name) for name in DEVICES], hub.calls, hub.jobs) == (before, [], {})


async def test_the_throttle_decides_and_a_lower_rate_does_before_it() -> None:
    throttled = (await forecast(fleet(), path="bulk")).waves[2].writing
    assert (throttled.seconds, throttled.deciding and throttled.deciding.throttle) == (30.0, "registry operations")
    slower = (await forecast(fleet(), ROLLOUT.at_most(0.5))).waves[2].writing
    assert (slower.seconds, slower.deciding and slower.deciding.why) == (100.0, "--rate")
    higher = (await forecast(fleet(), ROLLOUT.at_most(500))).waves[2].writing
    assert higher.seconds == 1.0


async def test_waves_follow_each_other_with_the_bake_between_and_none_after_the_last() -> None:
    plan = await forecast(fleet(), ROLLOUT.bake("10m").at_most(1), begins=5_000.0)
    reading = 2 * 3.0 + 3.0
    assert [wave.over_s for wave in plan.waves] == [
        pytest.approx(reading + 4 + 600),
        pytest.approx(reading + 4 + 600 + 3 + 46 + 600),
        pytest.approx(reading + 4 + 600 + 3 + 46 + 600 + 3 + 50),
    ]
    assert plan.at(plan.waves[0].over_s) == 5_000.0 + plan.waves[0].over_s
    assert (await forecast(fleet())).at(1.0) is None


async def test_nothing_is_written_outside_the_hours_of_the_window() -> None:
    opens = datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp()
    spec = replace(SPEC, window=Window.parse("02:00-02:01", "UTC"))
    plan = await forecast(
        fleet(), Rollout(spec).then(50, 100).at_most(1), capacity=None, begins=opens - 3600, path="direct"
    )
    read_s = plan.plan.read_s
    assert [wave.over_s for wave in plan.waves] == [
        pytest.approx(3600 + 50 + read_s, abs=1),
        pytest.approx(3600 + 86_400 + 40, abs=1),
    ]


async def test_tagging_costs_what_is_not_tagged_yet_and_comes_first() -> None:
    hub = fleet()
    tagged = ROLLOUT.cohort_tag("wave")
    for name in ranked(DEVICES, "s")[:4]:
        hub.tags[name]["wave"] = 1
    hub.tags[DEVICES[0]] |= {"wave": 9}
    plan, plain = await forecast(hub, tagged), await forecast(hub)
    assert plan.tagging is not None
    assert (plan.tagging.devices, plan.tagging.holding, plan.tagging.elsewhere) == (96, 4, 0)
    assert (plan.tagging.writing.name, plan.tagging.writing.seconds) == ("direct", 96 / 50)
    assert plan.quota.messages == plain.quota.messages + 96 + 1
    assert plan.waves[0].over_s == pytest.approx(plain.waves[0].over_s + 96 / 50 + 3.0)


async def test_other_devices_with_the_tag_are_told() -> None:
    hub = FakeHub(*DEVICES, "elsewhere", tags={"site": "a"})
    hub.tags["elsewhere"] = {"site": "b", "wave": 1}
    plan = await forecast(hub, ROLLOUT.cohort_tag("wave"), path="jobs")
    assert plan.tagging is not None
    assert plan.tagging.elsewhere == 1


async def test_the_file_of_a_plan_gives_the_same_cohorts_to_the_rollout(tmp_path: Path) -> None:
    plan = await forecast(fleet(), Rollout(SPEC).canary(4).then(50, 100))
    spec, sketch, document = read_plan(plan.to_json())
    rollout = Rollout.from_json(spec, document["rollout"])
    later = FakeHub(*(f"new{number}" for number in range(2)), *DEVICES[1:], tags={"site": "a"})
    again = await forecast(later, rollout)
    with pytest.raises(PlanDriftError):
        check_drift(sketch, again.plan.sketch, 0.01)
    check_drift(sketch, again.plan.sketch, 0.05)
    seen: list[list[str]] = []
    service, timing = cast(HubService, later), by_hand()[1]
    with Journal.create(tmp_path, again.rollout.spec) as journal:
        path = make_path("direct", service, spec, timing=timing)
        await run_rollout(
            service,
            again.rollout,
            path,
            journal=journal,
            order=again.order,
            timing=timing,
            on_step=lambda step: seen.append(list(journal.standings())) if step.state == "baking" else None,
        )
    old = [name for name in seen[0] if name in DEVICES]
    assert old == [name for name in plan.order[:4] if name in later.desired], "each is in the wave it was planned for"
    assert len(seen[2]) == 101


def test_a_device_stays_in_its_wave_whatever_comes_and_goes() -> None:
    order = ranked(DEVICES, "s")
    cohorts = bounds(parse_waves("10,50%,100%"), order, "s")
    assert (ends(order, "s", cohorts), cohorts[-1]) == ([10, 50, 100], FULL)
    fewer = ranked([name for name in DEVICES if name not in order[:10:2]], "s")
    first = ends(fewer, "s", cohorts)[0]
    assert (first, set(fewer[:first])) == (5, set(order[1:10:2]))


def test_a_wave_below_all_devices_leaves_later_ones_out() -> None:
    order = ranked(DEVICES, "s")
    cohorts = bounds(parse_waves("20%"), order, "s")
    assert ends(ranked([*DEVICES, *(f"new{n}" for n in range(100))], "s"), "s", cohorts)[0] < 60


async def test_the_whole_file_of_a_plan_is_json_with_every_figure() -> None:
    rollout = ROLLOUT.bake("1m").require("success >= 95%").abort_if("5% of 20").cohort_tag("wave")
    document = (await forecast(fleet(), rollout, begins=0.0)).to_json()
    assert [wave["devices"] for wave in document["waves"]] == [4, 46, 50]
    assert document["waves"][0]["overAt"].startswith("1970-01-01T00:01:1")
    assert (document["salt"], document["tagging"]["devices"], document["path"]) == ("s", 100, "direct")
    assert document["gates"][0]["meaning"].startswith("at least 95% of the wave's devices")
    assert document["abortIf"] == "more than 5% of at least 20 devices failed, refused or stayed silent"
    assert document["seconds"] == pytest.approx(document["waves"][-1]["overAfter"])


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("success >= 95%", "at least 95% of the wave's devices neither failed, refused nor stayed silent"),
        ("acknowledged >= 90%", "at least 90% of the wave's devices said that they follow"),
        ("tags.ok = true", "every device of the wave meets tags.ok = true"),
        ("SELECT COUNT() AS n FROM devices", "the number is 0 of SELECT COUNT() AS n FROM devices"),
        ("telemetry $body.t > 9 on at most 1%", "at most 1% of the wave's devices sent a message with $body.t > 9"),
    ],
)
def test_gates_are_told_in_words(gate: str, words: str) -> None:
    assert meaning(parse_gate(gate)) == words


def test_cohorts_that_are_not_the_waves_are_no_rollout() -> None:
    document = ROLLOUT.to_json() | {"bounds": ["0"]}
    with pytest.raises(InputError, match="3 waves and 1 cohorts"):
        Rollout.from_json(SPEC, document)
