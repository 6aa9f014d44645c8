"""Restart policies and waiting times."""

from __future__ import annotations

import pytest

from iot_core.clock import ManualClock
from local_edge.agent.restart import RestartRules, Verdict, backoff_s, judge, wants_restart

RULES = RestartRules()


def test_back_off_doubles_from_ten_seconds_to_five_minutes() -> None:
    assert [backoff_s(count, RULES) for count in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    assert backoff_s(10_000, RULES) == 300


@pytest.mark.parametrize(
    ("policy", "clean", "failed"),
    [
        ("never", False, False),
        ("on-failure", False, True),
        ("on-unhealthy", False, True),
        ("always", True, True),
    ],
)
def test_what_each_policy_restarts(policy: str, clean: bool, failed: bool) -> None:
    assert wants_restart(policy, 0) is clean  # type: ignore[arg-type]
    assert wants_restart(policy, 1) is failed  # type: ignore[arg-type]


def test_a_module_that_always_fails_is_restarted_twenty_times_and_then_given_up() -> None:
    clock, restarts, waited = ManualClock(1000.0), 0, []
    while True:
        exited_at = clock.now()
        while (verdict := _judge(restarts, exited_at, clock)) is Verdict.WAIT:
            clock.advance(1)
        if verdict is Verdict.GIVE_UP:
            break
        waited.append(clock.now() - exited_at)
        restarts += 1
    assert restarts == 20
    assert waited[:6] == [10, 20, 40, 80, 160, 300]


def _judge(restarts: int, exited_at: float, clock: ManualClock) -> Verdict:
    return judge("always", exit_code=1, restarts=restarts, exited_at=exited_at, now=clock.now(), rules=RULES)
