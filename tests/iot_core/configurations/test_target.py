from __future__ import annotations

from typing import Any

import pytest

from iot_core.configurations import TargetConditionError, compile_target

DEVICE = {
    "deviceId": "d1",
    "tags": {"site": "a", "floor": 2, "o'k": True},
    "properties": {"reported": {"fw": {"ver": "1"}, "$version": 4}},
}
MODULE = {"deviceId": "d1", "moduleId": "m", "tags": {"site": "a"}, "properties": {"reported": {}}}


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("*", True),
        ("", False),
        ("   ", False),
        ("deviceId = 'd1'", True),
        ("tags.site = 'a' AND tags.floor > 1", True),
        ("tags.site = 'a' AND tags.floor = 2 NOT deviceId = 'd1'", False),
        ("tags.site = 'a' NOT tags.floor = 3", True),
        ("(tags.site = 'a') NOT (tags.floor = 3) NOT deviceId IN ['d2'] NOT tags.site = 'b'", True),
        ("NOT deviceId = 'd1'", False),
        ("properties.reported.fw.ver = '1'", True),
        ("properties.reported.$version = 4", True),
        ("from devices where tags.site = 'a'", True),
        ("tags.site = 'it''s'", False),
    ],
)
def test_conditions_on_devices(condition: str, taken: bool) -> None:
    assert compile_target(condition)(DEVICE) is taken


def test_conditions_on_modules_say_so() -> None:
    target = compile_target("from devices.modules where moduleId = 'm' and tags.site = 'a'")
    assert target.collection == "devices.modules"
    assert target.where == "moduleId = 'm' and tags.site = 'a'"
    assert target(MODULE)


@pytest.mark.parametrize(
    "condition",
    [
        "tags.a ==== 1",
        "properties.desired.a = 1",
        "capabilities.iotEdge = true",
        "status = 'enabled'",
        "moduleId = 'm'",
        "from devices.modules where *",
        "from devices.jobs where jobId = 'j'",
        "SELECT * FROM devices",
        f"tags.a = '{'x' * 8000}'",
    ],
)
def test_what_a_condition_may_not_ask_is_refused(condition: str) -> None:
    with pytest.raises(TargetConditionError, match=r"^targetCondition: "):
        compile_target(condition)


def test_star_can_be_refused() -> None:
    with pytest.raises(TargetConditionError):
        compile_target("*", star=False)


@pytest.mark.parametrize(
    ("condition", "reads"), [("tags.a = 1", False), ("tags.a = 1 OR properties.reported.b = 2", True)]
)
def test_whether_it_reads_reported_properties(condition: str, reads: bool) -> None:
    assert compile_target(condition).reads_reported is reads


def test_normalised_conditions_are_taken_again() -> None:
    where: Any = compile_target("tags.site = 'a' NOT tags.floor = 3").where
    assert where == "tags.site = 'a' AND NOT tags.floor = 3"
    assert compile_target(where)(DEVICE)
