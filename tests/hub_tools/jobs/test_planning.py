"""Plans: what is told of a population, and when it has drifted too far."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.planning import NoDeviceMatchesError, PlanDriftError, check_drift, make_plan, read_plan
from hub_tools.jobs.population import Columns, Sketch, id_conditions
from hub_tools.jobs.throttles import Capacity
from hub_tools.service import HubService
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

SPEC = JobSpec(where="tags.building = 'B1'", desired={"rate": 5})


async def plan_of(hub: FakeHub, spec: JobSpec = SPEC, **options: Any) -> Any:
    _, timing = by_hand()
    return await make_plan(cast(HubService, hub), spec, **{"capacity": None, "timing": timing, **options})


def building(*devices: str, connected: bool = True) -> FakeHub:
    return FakeHub(*devices, connected=connected, tags={"building": "B1"})


async def test_a_plan_tells_who_matches_and_what_each_class_would_see() -> None:
    hub = building("d1", "d2", "d3", "d4")
    hub.tags["d4"]["building"] = "B2"
    hub.write("d1", {"properties": {"desired": {"rate": 5}}})
    hub.write("d2", {"properties": {"desired": {"rate": 9}}})
    plan = await plan_of(hub)
    assert (plan.matched, plan.holding, plan.why) == (3, 1, {"tags.building": {"B1": 3}})
    changes = {each.examples: each.changes for each in plan.classes}
    assert changes == {
        ("d1",): (("desired.rate", 5, 5),),
        ("d2",): (("desired.rate", 9, 5),),
        ("d3",): (("desired.rate", None, 5),),
    }


async def test_a_plan_changes_nothing() -> None:
    hub = building("d1")
    before = hub.twin("d1")
    await plan_of(hub)
    assert hub.twin("d1") == before
    assert (hub.calls, hub.jobs) == ([], {})


async def test_the_count_comes_first_and_only_needed_columns_are_read() -> None:
    hub = building("d1")
    await plan_of(hub)
    assert hub.queries[0] == "SELECT COUNT() AS n FROM devices WHERE tags.building = 'B1'"
    assert (
        "SELECT deviceId, etag, connectionState, lastActivityTime, properties.desired.$version AS v" in hub.queries[1]
    )
    assert "*" not in hub.queries[1]


async def test_offline_devices_are_told_by_how_long() -> None:
    hub = building("d1", "d2", connected=False)
    plan = await plan_of(hub)
    assert (plan.connected, plan.offline) == (0, {"never seen": 2})


async def test_the_convention_of_the_population_is_found_out() -> None:
    hub = building("d1", "d2", "d3")
    hub.reported = {"d1": {"rate": {"value": 1, "ac": 200, "av": 1}}, "d2": {"rate": 1}, "d3": {}}
    plan = await plan_of(hub)
    assert plan.conventions == {"acknowledged": 1, "reported value": 1, "none": 1}


async def test_quick_reads_one_page_and_reckons_the_rest() -> None:
    hub = building(*(f"d{number}" for number in range(10)), connected=False)
    hub.page_rows = 4
    hub.connected |= {"d0": True, "d1": True}
    plan = await plan_of(hub, quick=True)
    assert (plan.matched, plan.seen, plan.connected, plan.quick) == (10, 4, 5, True)


async def test_other_jobs_under_way_are_told_with_the_devices_and_values_in_common() -> None:
    hub = building("d1", "d2")
    update = {"properties": {"desired": {"rate": 1}}}
    other = {"jobId": "o", "status": "running", "queryCondition": "deviceId = 'd1'", "updateTwin": update}
    hub.other_jobs = [other, {**other, "jobId": "p", "status": "completed"}, {**other, "queryCondition": "tags.x = 1"}]
    plan = await plan_of(hub)
    assert [(each.job_id, each.devices, each.values) for each in plan.overlaps] == [("o", 1, ("desired.rate",))]


async def test_a_named_path_is_kept_and_a_wrong_one_refused() -> None:
    assert (await plan_of(building("d1"), path="direct")).path == "direct"
    with pytest.raises(InputError, match="--path bulk"):
        await plan_of(building("d1"), JobSpec(where="*", c2d="x"), path="bulk")


async def test_nobody_is_no_plan() -> None:
    with pytest.raises(NoDeviceMatchesError, match=r"tags\.building"):
        await plan_of(FakeHub("d1"))


@pytest.mark.parametrize("where", ["tags.building = B1", "(tags.floor > 3 AND tags.building <> B1)"])
async def test_a_word_without_quotes_is_named_where_nothing_matches(where: str) -> None:
    with pytest.raises(NoDeviceMatchesError, match=r"B1 is the name of a property, the text would be 'B1'"):
        await plan_of(building("d1"), JobSpec(where=where, desired={"rate": 5}))


async def test_a_constant_is_no_text_without_quotes() -> None:
    with pytest.raises(NoDeviceMatchesError) as caught:
        await plan_of(building("d1"), JobSpec(where="tags.on = true OR tags.on = NULL", desired={"rate": 5}))
    assert "name of a property" not in str(caught.value)


async def test_reading_keeps_to_the_pace_of_the_tier() -> None:
    hub = building(*(f"d{number:02}" for number in range(20)))
    hub.page_rows = 1
    clock, timing = by_hand()
    await plan_of(hub, capacity=Capacity.parse("S1"), timing=timing)
    assert clock.monotonic() == pytest.approx((20 - 5) * 3.0)


async def test_a_plan_comes_back_from_its_file() -> None:
    plan = await plan_of(building("d1", "d2"), capacity=Capacity.parse("S2:10"))
    spec, sketch, document = read_plan(plan.to_json())
    assert spec == SPEC
    assert (sketch.total, document["tier"], document["path"]) == (2, "S2:10", "direct")


def sketch_of(*numbers: range) -> Sketch:
    sketch = Sketch()
    for devices in numbers:
        for number in devices:
            sketch.add(f"device-{number}")
    return sketch


def test_the_same_population_has_not_drifted() -> None:
    assert sketch_of(range(100)).drift(sketch_of(range(100))) == 0.0


def test_drift_is_the_share_of_devices_that_are_in_one_of_the_two_only() -> None:
    assert sketch_of(range(90)).drift(sketch_of(range(10, 100))) == pytest.approx(0.2)


def test_drift_of_large_populations_is_reckoned_from_a_sample() -> None:
    assert sketch_of(range(45_000)).drift(sketch_of(range(5_000, 50_000))) == pytest.approx(0.2, abs=0.03)


def test_a_drift_beyond_the_limit_is_an_error_with_the_figure() -> None:
    planned, found = sketch_of(range(100)), sketch_of(range(100), range(200, 210))
    with pytest.raises(PlanDriftError, match=r"9\.1%"):
        check_drift(planned, found, 0.05)
    assert check_drift(planned, found, 0.1) == pytest.approx(10 / 110)


def test_ids_are_named_in_conditions_that_fit_a_query() -> None:
    devices = [f"it's-a-device-with-a-long-name-{number:06}" for number in range(1000)]
    conditions = list(id_conditions(devices))
    assert [name for _, names in conditions for name in names] == devices
    assert max(len(text) for text, _ in conditions) < 8000
    assert "'it''s-a-" in conditions[0][0]


def test_previous_values_are_read_by_path_with_the_version_that_wrote_them() -> None:
    spec = JobSpec(where="*", desired={"limits": {"low": 1}}, tags={"a": 2})
    metadata = {"$lastUpdatedVersion": 7, "low": {"$lastUpdatedVersion": 4}}
    row = Columns(spec).read({"deviceId": "d", "v": 9, "d0": {"low": 3}, "m0": metadata, "t0": 5})
    assert row.previous == {"desired.limits.low": 3, "tags.a": 5}
    assert (row.versions, row.version, row.holds) == ({"desired.limits.low": 4, "tags.a": None}, 9, False)


def test_a_plain_value_in_place_of_an_object_is_kept_whole() -> None:
    spec = JobSpec(where="*", desired={"limits": {"low": 1}})
    row = Columns(spec).read({"deviceId": "d", "v": 1, "d0": "none", "m0": {"$lastUpdatedVersion": 1}})
    assert row.previous == {"desired.limits": "none"}
