from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iot_core.configurations import Configuration, Rules, compile_target, parse_content

CASES = json.loads((Path(__file__).parents[1] / "manifest" / "layer_cases.json").read_text())["cases"]


def configuration(name: str, content: dict[str, Any], priority: int = 0, order: int = 0, target: str = "*") -> Any:
    return Configuration(
        id=name, order=order, priority=priority, target=compile_target(target), content=parse_content(content)
    )


def on_device(name: str, priority: int = 0, order: int = 0, **settings: Any) -> Any:
    sections = {f"properties.desired.{path.replace('__', '.')}": value for path, value in settings.items()}
    return configuration(name, {"deviceContent": sections}, priority, order)


def statuses(plan: Any) -> dict[str, str]:
    return {one: entry["status"] for one, entry in plan.statuses.items()}


def planned(*items: Any, current: Any = None) -> tuple[dict[str, Any], dict[str, str]]:
    plan = Rules(items).plan("", tuple(sorted(item.id for item in items)))
    return plan.values(current or {}, []), statuses(plan)


def test_the_higher_priority_wins_a_path_and_the_other_still_applies_elsewhere() -> None:
    low, high = on_device("low", 1, a=1, b=1), on_device("high", 2, a=2)
    assert planned(low, high) == ({"a": 2, "b": 1}, {"low": "Applied", "high": "Applied"})


def test_one_that_loses_everywhere_is_only_targeted() -> None:
    assert planned(on_device("low", 1, a=1), on_device("high", 2, a=2))[1] == {"low": "Targeted", "high": "Applied"}


def test_of_equal_priorities_the_newer_wins() -> None:
    assert planned(on_device("old", 1, 1, a=1), on_device("new", 1, 2, a=2))[0] == {"a": 2}


def test_a_path_above_another_wins_it_too_and_one_below_adds_to_it() -> None:
    above, below = on_device("above", 2, a={"x": 1}), on_device("below", 1, a__b=2)
    assert planned(above, below) == ({"a": {"x": 1}}, {"above": "Applied", "below": "Targeted"})
    above, below = on_device("above", 1, a={"x": 1}), on_device("below", 2, a__b=2)
    assert planned(above, below) == ({"a": {"x": 1, "b": 2}}, {"above": "Applied", "below": "Applied"})


def test_what_others_wrote_stays() -> None:
    assert planned(on_device("one", a=1), current={"own": 5, "a": 0})[0] == {"own": 5, "a": 1}


def test_settings_go_when_a_configuration_no_longer_matches_but_not_when_it_is_deleted() -> None:
    rules = Rules([on_device("one", a=1), on_device("two", b=1)])
    before = {name: {"status": "Applied"} for name in ("one", "two", "deleted")}
    plan = rules.plan("", ("two",))
    gone = rules.gone("", before, plan)
    assert plan.values({"a": 1, "b": 1, "c": 1}, gone) == {"b": 1, "c": 1}


@pytest.mark.parametrize(
    "case", [case for case in CASES if "error" not in case["expected"]], ids=lambda case: str(case["id"])
)
def test_deployments_merge_as_layers_do(case: Any) -> None:
    items = [
        configuration(item["name"], {"modulesContent": item["modulesContent"]}, item["priority"], order)
        for order, item in enumerate(sorted(case["deployments"], key=lambda item: item["created"]))
    ]
    rules = Rules(items)
    ids = tuple(sorted(item.id for item in items))
    for module, desired in case["expected"]["desired"].items():
        assert rules.plan(module, (), ids).values({"old": 1}, []) == desired
    agent = statuses(rules.plan("$edgeAgent", (), ids))
    assert set(agent) == set(ids)
    assert all(agent[name] == "Targeted" for name in case["expected"]["targeted_only"])


def test_layers_without_a_base_change_nothing() -> None:
    layer = configuration("l", {"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": {}}}})
    rules = Rules([layer])
    assert rules.modules_named(("l",)) is None
    assert statuses(rules.plan("$edgeAgent", (), ("l",))) == {"l": "Targeted"}
    assert rules.plan("$edgeAgent", (), ("l",)).values({"own": 1}, []) == {"own": 1}
