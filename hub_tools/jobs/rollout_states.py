"""The states of a rollout and what leads from one to the next, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hub_tools.service import Json
from iot_core.errors import InputError, StoreError

__all__ = ["ENDED", "NOTE", "TRANSITIONS", "RolloutEvent", "RolloutState", "Step", "next_step"]

NOTE = "rollout"
"""The kind of the journal's notes that hold a step."""


class RolloutState(StrEnum):
    """What a rollout is at."""

    PLANNED = "planned"
    TAGGING = "tagging"
    WAITING = "waiting"
    RUNNING = "running"
    BAKING = "baking"
    JUDGING = "judging"
    PAUSED = "paused"
    HELD = "held"
    ABORTED = "aborted"
    DONE = "done"


class RolloutEvent(StrEnum):
    """What happens to a rollout."""

    BEGIN = "begin"
    BEGIN_TAGGING = "begin with tags"
    TAGGED = "tagged"
    APPROVE = "approve"
    WAVE_ENDED = "wave ended"
    TOO_MANY_FAILED = "too many failed"
    BAKED = "baked"
    GATES_PASSED = "gates passed"
    LAST_PASSED = "last gates passed"
    GATE_FAILED = "gate failed"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


_S, _E = RolloutState, RolloutEvent
TRANSITIONS: Mapping[tuple[RolloutState, RolloutEvent], RolloutState | None] = {
    (_S.PLANNED, _E.BEGIN): _S.WAITING,
    (_S.PLANNED, _E.BEGIN_TAGGING): _S.TAGGING,
    (_S.TAGGING, _E.TAGGED): _S.WAITING,
    (_S.TAGGING, _E.PAUSE): _S.PAUSED,
    (_S.WAITING, _E.APPROVE): _S.RUNNING,
    (_S.WAITING, _E.PAUSE): _S.PAUSED,
    (_S.RUNNING, _E.WAVE_ENDED): _S.BAKING,
    (_S.RUNNING, _E.TOO_MANY_FAILED): _S.ABORTED,
    (_S.RUNNING, _E.PAUSE): _S.PAUSED,
    (_S.BAKING, _E.BAKED): _S.JUDGING,
    (_S.BAKING, _E.PAUSE): _S.PAUSED,
    (_S.JUDGING, _E.GATES_PASSED): _S.WAITING,
    (_S.JUDGING, _E.LAST_PASSED): _S.DONE,
    (_S.JUDGING, _E.GATE_FAILED): _S.HELD,
    (_S.JUDGING, _E.PAUSE): _S.PAUSED,
    (_S.HELD, _E.RESUME): _S.JUDGING,
    (_S.HELD, _E.RETRY): _S.RUNNING,
    (_S.PAUSED, _E.RESUME): None,
}
"""None: back to the state in which it was paused. A held rollout is judged again when somebody goes on with it, after a
retry where devices of its wave have not followed.
"""

ENDED = frozenset({RolloutState.DONE, RolloutState.ABORTED})
"""States from which nothing leads on."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a rollout stands, as its journal has it.

    `wave` counts from 0. `begun` is the number of devices that the journal knew when the wave began: those after them
    are the wave's. `until` is when the bake is over, unix seconds.
    """

    state: RolloutState = RolloutState.PLANNED
    wave: int = 0
    begun: int = 0
    until: float = 0.0
    cause: str = ""
    paused_in: RolloutState | None = None

    def to_json(self) -> Json:
        """The fields of the journal's note."""
        paused_in = self.paused_in and self.paused_in.value
        fields = {"wave": self.wave, "begun": self.begun, "until": self.until, "cause": self.cause}
        return {"state": self.state.value, **fields, "paused_in": paused_in}

    @classmethod
    def from_json(cls, document: Json) -> Step:
        """The step of a note, the first one of {}; StoreError when the note was written by another version."""
        if not document:
            return cls()
        try:
            paused_in = document["paused_in"]
            return cls(
                state=RolloutState(document["state"]),
                wave=document["wave"],
                begun=document["begun"],
                until=document["until"],
                cause=document["cause"],
                paused_in=paused_in and RolloutState(paused_in),
            )
        except (KeyError, ValueError) as error:
            raise StoreError(f"the rollout's journal was written by another version of edgeyard: {error!r}") from None


def next_step(step: Step, event: RolloutEvent, **changes: Any) -> Step:
    """The step that an event leads to, with other fields changed as given; InputError where it leads nowhere."""
    if (step.state, event) not in TRANSITIONS:
        raise InputError(f"a rollout that is {step.state.value} cannot follow: {event.value}")
    state = TRANSITIONS[step.state, event] or step.paused_in or RolloutState.WAITING
    paused_in = step.state if event is RolloutEvent.PAUSE else None
    return replace(step, **{"cause": "", **changes}, state=state, paused_in=paused_in)
