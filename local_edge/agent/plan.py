"""Desired modules and actual modules in, actions out; without any I/O.

1. Modules that are no longer wanted are removed first, by name.
2. Then the groups of startupOrder, lowest first; within a group by name:

| actual \\ desired     | running               | stopped       | changed                 |
|----------------------|-----------------------|---------------|-------------------------|
| absent               | create, start         | create        | -                       |
| running              | - (forgive if well)   | stop          | recreate                |
| stopped by the agent | start                 | -             | recreate                |
| exited by itself     | restart policy        | -             | recreate                |
| never came up        | restart policy        | -             | recreate                |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from iot_core.manifest.model import ModuleSpec
from local_edge.agent.deployment import same_container
from local_edge.agent.restart import RestartRules, Verdict, backoff_s, judge

__all__ = [
    "Action",
    "ActualModule",
    "Create",
    "Forgive",
    "Phase",
    "Remove",
    "Restart",
    "Start",
    "Stop",
    "next_due",
    "plan",
    "verdict",
]

Phase = Literal["running", "stopped", "exited"]


@dataclass(frozen=True, kw_only=True)
class ActualModule:
    """What is known of a module: `stopped` = by the agent or never started, `exited` = by itself or failed to start."""

    applied: ModuleSpec
    phase: Phase
    exit_code: int = 0
    started_at: float = 0.0
    exited_at: float = 0.0
    restarts: int = 0
    last_restart_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Remove:
    """Stop the module and forget it."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Create:
    """Set the module up anew (stopping an older one of this name); start it if it shall run."""

    module: ModuleSpec

    @property
    def name(self) -> str:
        return self.module.name


@dataclass(frozen=True, kw_only=True)
class Start:
    """Start a module that the agent had stopped."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop a running module; it stays known."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Restart:
    """Start a module that ended by itself; counts as a restart."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Forgive:
    """Clear the restart count of a module that has run well for long enough."""

    name: str


Action = Remove | Create | Start | Stop | Restart | Forgive


def plan(
    desired: Mapping[str, ModuleSpec], actual: Mapping[str, ActualModule], *, now: float, rules: RestartRules
) -> list[Action]:
    """The actions that turn `actual` into `desired` at `now` (unix seconds), in the order to run them."""
    actions: list[Action] = [Remove(name=name) for name in sorted(set(actual) - set(desired))]
    for module in sorted(desired.values(), key=lambda wanted: (wanted.startup_order, wanted.name)):
        action = _for_module(module, actual.get(module.name), now, rules)
        if action is not None:
            actions.append(action)
    return actions


def next_due(
    desired: Mapping[str, ModuleSpec], actual: Mapping[str, ActualModule], *, now: float, rules: RestartRules
) -> float | None:
    """Unix seconds at which the plan will next change by time alone, or None."""
    return min(_due_times(desired, actual, now, rules), default=None)


def _for_module(desired: ModuleSpec, actual: ActualModule | None, now: float, rules: RestartRules) -> Action | None:
    if actual is None or not same_container(desired, actual.applied):
        return Create(module=desired)
    if desired.status == "stopped":
        return Stop(name=desired.name) if actual.phase == "running" else None
    if actual.phase == "running":
        return Forgive(name=desired.name) if _is_well(actual, now, rules) else None
    if actual.phase == "stopped":
        return Start(name=desired.name)
    return Restart(name=desired.name) if verdict(desired, actual, now, rules) is Verdict.RESTART else None


def _is_well(actual: ActualModule, now: float, rules: RestartRules) -> bool:
    return actual.restarts > 0 and now - actual.started_at >= rules.healthy_after_s


def verdict(desired: ModuleSpec, actual: ActualModule, now: float, rules: RestartRules) -> Verdict:
    """What the restart policy of `desired` says about a module that exited."""
    return judge(
        desired.restart_policy,
        exit_code=actual.exit_code,
        restarts=actual.restarts,
        exited_at=actual.exited_at,
        now=now,
        rules=rules,
    )


def _due_times(
    desired: Mapping[str, ModuleSpec], actual: Mapping[str, ActualModule], now: float, rules: RestartRules
) -> Iterable[float]:
    for name in desired.keys() & actual.keys():
        module = actual[name]
        if module.phase == "running" and module.restarts > 0:
            yield module.started_at + rules.healthy_after_s
        if module.phase == "exited" and verdict(desired[name], module, now, rules) is Verdict.WAIT:
            yield module.exited_at + backoff_s(module.restarts, rules)
