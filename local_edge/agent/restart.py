"""When a module that is not running is started again.

Rules: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins" (restartPolicy), with
the waiting times of the real agent: base · 2^restarts seconds, at most 5 minutes, given up after 20 restarts, and
forgiven after 10 minutes of running.

| policy                   | exit code 0 | exit code not 0 |
|--------------------------|-------------|-----------------|
| never                    | stays       | stays           |
| on-failure, on-unhealthy | stays       | restarted       |
| always                   | restarted   | restarted       |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from iot_core.manifest.model import RestartPolicy

__all__ = ["RestartRules", "Verdict", "backoff_s", "judge", "wants_restart"]


@dataclass(frozen=True, kw_only=True)
class RestartRules:
    """The waiting times of the agent, in seconds; tests shorten them."""

    base_s: float = 10.0
    cap_s: float = 300.0
    max_restarts: int = 20
    healthy_after_s: float = 600.0


class Verdict(Enum):
    """What to do about a module that stopped while it should run."""

    LEAVE = "leave"
    WAIT = "wait"
    RESTART = "restart"
    GIVE_UP = "give up"


def wants_restart(policy: RestartPolicy, exit_code: int) -> bool:
    """Whether `policy` starts a module again after `exit_code`."""
    if policy == "always":
        return True
    return policy in ("on-failure", "on-unhealthy") and exit_code != 0


def backoff_s(restarts: int, rules: RestartRules) -> float:
    """Seconds between the last exit and the next start, after `restarts` earlier restarts."""
    # 2**restarts is bounded first: a large count must not overflow a float.
    return float(min(rules.base_s * 2 ** min(restarts, 32), rules.cap_s))


def judge(
    policy: RestartPolicy, *, exit_code: int, restarts: int, exited_at: float, now: float, rules: RestartRules
) -> Verdict:
    """The verdict at `now` (unix seconds) on a module that exited at `exited_at`."""
    if not wants_restart(policy, exit_code):
        return Verdict.LEAVE
    if restarts >= rules.max_restarts:
        return Verdict.GIVE_UP
    due = exited_at + backoff_s(restarts, rules)
    return Verdict.RESTART if now >= due else Verdict.WAIT
