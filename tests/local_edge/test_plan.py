"""The agent's plan as a table: desired and actual modules in, actions out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iot_core.manifest import ModuleSpec
from local_edge.agent.plan import (
    Action,
    ActualModule,
    Create,
    Forgive,
    Remove,
    Restart,
    Start,
    Stop,
    next_due,
    plan,
)
from local_edge.agent.restart import RestartRules

RULES = RestartRules()
NOW = 10_000.0
RUN = ModuleSpec(name="m", image="i", restart_policy="on-failure")
HALT = replace(RUN, status="stopped")
OTHER = replace(RUN, image="other")


def was(applied: ModuleSpec = RUN, phase: str = "running", **known: float) -> ActualModule:
    return replace(ActualModule(applied=applied, phase="running"), phase=phase, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("desired", "actual", "expected"),
    [
        (RUN, None, [Create(module=RUN)]),
        (HALT, None, [Create(module=HALT)]),
        (None, was(), [Remove(name="m")]),
        (RUN, was(), []),
        (RUN, was(OTHER), [Create(module=RUN)]),
        (HALT, was(), [Stop(name="m")]),
        (HALT, was(HALT, "stopped"), []),
        (HALT, was(RUN, "exited", exit_code=1), []),
        (RUN, was(HALT, "stopped"), [Start(name="m")]),
        (RUN, was(RUN, "exited", exit_code=0, exited_at=NOW - 5000), []),
        (RUN, was(RUN, "exited", exit_code=1, exited_at=NOW - 9), []),
        (RUN, was(RUN, "exited", exit_code=1, exited_at=NOW - 10), [Restart(name="m")]),
        (RUN, was(RUN, "exited", exit_code=1, exited_at=NOW - 19, restarts=1), []),
        (RUN, was(RUN, "exited", exit_code=1, exited_at=NOW - 20, restarts=1), [Restart(name="m")]),
        (RUN, was(RUN, "exited", exit_code=1, exited_at=0, restarts=20), []),
        (RUN, was(started_at=NOW - 599, restarts=2), []),
        (RUN, was(started_at=NOW - 600, restarts=2), [Forgive(name="m")]),
    ],
)
def test_one_module(desired: ModuleSpec | None, actual: ActualModule | None, expected: list[Action]) -> None:
    wanted = {} if desired is None else {"m": desired}
    known = {} if actual is None else {"m": actual}
    assert plan(wanted, known, now=NOW, rules=RULES) == expected


@pytest.mark.parametrize(
    "change",
    [{"env": {"A": "1"}}, {"create_options": {"Cmd": []}}, {"version": "2"}, {"restart_policy": "always"}],
)
def test_any_change_but_the_status_recreates(change: dict[str, object]) -> None:
    changed = replace(RUN, **change)  # type: ignore[arg-type]
    assert plan({"m": changed}, {"m": was()}, now=NOW, rules=RULES) == [Create(module=changed)]


def test_removals_come_first_then_groups_of_startup_order_then_names() -> None:
    desired = {
        name: ModuleSpec(name=name, image="i", startup_order=order)
        for name, order in {"late": 9, "b": 1, "a": 1, "first": 0}.items()
    }
    actions = plan(desired, {"old": was(replace(RUN, name="old"))}, now=NOW, rules=RULES)
    assert [action.name for action in actions] == ["old", "first", "a", "b", "late"]


def test_the_next_due_moment_is_the_end_of_a_back_off_or_of_a_probation() -> None:
    waiting = was(RUN, "exited", exit_code=1, exited_at=NOW, restarts=2)
    assert next_due({"m": RUN}, {"m": waiting}, now=NOW, rules=RULES) == NOW + 40
    on_probation = was(started_at=NOW, restarts=1)
    assert next_due({"m": RUN}, {"m": on_probation}, now=NOW, rules=RULES) == NOW + 600
    assert next_due({"m": RUN}, {"m": was()}, now=NOW, rules=RULES) is None
