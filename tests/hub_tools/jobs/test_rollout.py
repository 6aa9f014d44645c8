"""What a rollout is: its waves, cohorts, gates and table of states, before anything runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from hub_tools.jobs.cohorts import Wave, parse_waves, ranked, targets
from hub_tools.jobs.gates import Abort, CountQuery, Rate, judge, parse_abort, parse_gate
from hub_tools.jobs.job import JobSpec, MethodCall
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_states import (
    ENDED,
    TRANSITIONS,
    RolloutEvent,
    RolloutState,
    Step,
    next_step,
)
from hub_tools.programs import value_made_by
from hub_tools.service import HubService
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub

SPEC = JobSpec(where="*", desired={"rate": 5}, job_id="job-1")
FLEET = [f"d{number}" for number in range(1000)]


def test_a_cohort_is_the_same_whatever_the_order_of_the_devices() -> None:
    assert ranked(FLEET, "salt") == ranked(reversed(FLEET), "salt")


def test_another_salt_takes_other_devices_first() -> None:
    assert len(set(ranked(FLEET, "a")[:100]) & set(ranked(FLEET, "b")[:100])) < 30


def test_per_cent_are_cumulative_and_a_wave_never_takes_devices_back() -> None:
    assert targets(parse_waves("5,10%,50%,100%"), 30) == [5, 5, 15, 30]
    assert targets(parse_waves("1%,100%"), 3) == [1, 3]


@pytest.mark.parametrize("text", ["", "0", "101%", "0%", "1.5", "-3", "ten", "5,,10"])
def test_a_wave_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_waves(text)


def test_every_step_of_the_builder_gives_another_rollout() -> None:
    plain = Rollout(SPEC)
    built = plain.canary(5).bake("30m").require("success >= 95%").then(10, 50, 100).abort_if("5% of 20")
    assert (plain.waves, plain.bake_s, plain.gates) == ((), 0.0, ())
    assert [str(wave) for wave in built.waves] == ["5", "10%", "50%", "100%"]
    assert (built.bake_s, built.abort) == (1800.0, Abort(share=0.05, sample=20))


def test_a_canary_alone_is_followed_by_the_usual_waves() -> None:
    assert [str(wave) for wave in Rollout(SPEC).canary(5).planned_waves] == ["5", "10%", "50%", "100%"]


def test_a_rollout_is_known_by_its_id() -> None:
    assert Rollout(SPEC).spec.job_id == "rollout-1"
    assert Rollout(Rollout(SPEC).spec).spec.job_id == "rollout-1"


def test_a_rollout_survives_its_journal() -> None:
    rollout = (
        Rollout(SPEC).canary(5).then_waves("20,10%").bake(90).approve().at_most(7).salted("x").abort_if(0.1, sample=3)
    )
    rollout = rollout.require("acknowledged >= 99.5%").require("tags.ok = true")
    rollout = rollout.require("SELECT COUNT() AS n FROM devices WHERE tags.bad = true", most=3)
    assert Rollout.from_json(rollout.spec, rollout.to_json()) == rollout


def test_what_no_rollout_can_do_is_refused() -> None:
    with pytest.raises(InputError, match="a method goes by edgeyard job run"):
        Rollout(JobSpec(where="*", method=MethodCall(name="reboot")))
    with pytest.raises(InputError, match="has no --start"):
        Rollout(JobSpec(where="*", desired={"rate": 5}, start=1.0))
    with pytest.raises(InputError, match="bake"):
        Rollout(SPEC).bake("soon")
    with pytest.raises(InputError, match="at_most"):
        Rollout(SPEC).at_most(0)
    with pytest.raises(InputError, match="one"):
        Wave()


def test_every_state_that_has_not_ended_leads_on_and_no_other() -> None:
    assert {state for state, _ in TRANSITIONS} == set(RolloutState) - ENDED


def test_a_paused_rollout_goes_back_to_where_it_was() -> None:
    baking = Step(state=RolloutState.BAKING, wave=2, begun=10, until=99.0)
    paused = next_step(baking, RolloutEvent.PAUSE, cause="stopped")
    assert Step.from_json(paused.to_json()) == paused
    assert next_step(paused, RolloutEvent.RESUME) == baking


def test_an_event_out_of_place_is_refused() -> None:
    with pytest.raises(InputError, match="a rollout that is planned cannot follow: baked"):
        next_step(Step(), RolloutEvent.BAKED)


def test_too_few_devices_abort_nothing() -> None:
    abort = parse_abort("failures > 5% of 20")
    counts = Counter({DeviceState.FAILED: 10, DeviceState.ACKNOWLEDGED: 9, DeviceState.WRITTEN: 50})
    assert abort.reached(counts, awaited=True) == ""
    counts[DeviceState.TIMED_OUT] += 1
    assert abort.reached(counts, awaited=True) == "11 of 20 devices failed, more than 5%"


def test_exactly_the_share_is_still_allowed() -> None:
    counts = {DeviceState.REFUSED: 1, DeviceState.WRITTEN: 19}
    assert Abort(share=0.05).reached(counts, awaited=False) == ""


@pytest.mark.parametrize("text", ["", "many", "100%", "5% of 0", "x > 5%"])
def test_an_abort_threshold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_abort(text)


async def failure(text: str, hub: FakeHub, states: dict[str, DeviceState], **bounds: int) -> str:
    return await judge([parse_gate(text, **bounds)], cast(HubService, hub), states)


async def test_rates_leave_out_devices_that_held_the_value() -> None:
    states = {"d1": DeviceState.ACKNOWLEDGED, "d2": DeviceState.WRITTEN, "d3": DeviceState.SKIPPED}
    assert await failure("success >= 100%", FakeHub(), states) == ""
    assert await failure("acknowledged >= 90%", FakeHub(), states) == "acknowledged >= 90%: it is 50%, 1 of 2 devices"


async def test_a_condition_names_devices_of_the_wave_that_do_not_meet_it() -> None:
    hub = FakeHub("d1", "d2", "d3")
    hub.reported |= {"d1": {"ok": True}}
    states = dict.fromkeys(["d1", "d2"], DeviceState.ACKNOWLEDGED)
    found = await failure("properties.reported.ok = true", hub, states)
    assert found == "properties.reported.ok = true: 1 of 2 devices do not meet it, such as d2"


async def test_a_counting_query_must_give_zero_or_lie_in_its_bounds() -> None:
    hub = FakeHub("d1", "d2", tags={"bad": True})
    query = "SELECT COUNT() AS n FROM devices WHERE tags.bad = true"
    assert (await failure(query, hub, {})).endswith("it is 2")
    assert await failure(query, hub, {}, most=2) == ""
    assert (await failure(query, hub, {}, least=3)).endswith("it is 2")


async def test_a_query_that_does_not_count_is_refused() -> None:
    with pytest.raises(InputError, match="does not count"):
        await failure("SELECT deviceId FROM devices", FakeHub("d1"), {})


@pytest.mark.parametrize("text", ["success >= 101%", "tags.x = ", "SELECT FROM"])
def test_a_gate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--require"):
        parse_gate(text)


def test_gates_are_told_apart_by_how_they_are_written() -> None:
    assert parse_gate("Success >= 95 %") == Rate(of="success", least=95.0)
    assert isinstance(parse_gate("select count() as n from devices"), CountQuery)


def test_a_program_makes_a_rollout(tmp_path: Path) -> None:
    file = tmp_path / "wave.py"
    file.write_text(
        "from hub_tools.jobs import JobSpec\nfrom hub_tools.jobs.rollout import Rollout\n"
        "rollout = Rollout(JobSpec(where='*', desired={'rate': 5})).canary(3)\n"
    )
    assert value_made_by(file, "rollout", Rollout).waves == (Wave(count=3),)
    file.write_text("rollout = 1\n")
    with pytest.raises(InputError, match="write rollout ="):
        value_made_by(file, "rollout", Rollout)
    file.write_text("\n1 / 0\n")
    with pytest.raises(InputError, match=r"wave\.py:2: ZeroDivisionError"):
        value_made_by(file, "rollout", Rollout)
