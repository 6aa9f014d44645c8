"""Why a device did or did not get a job's change, from the journal and from what the hub holds now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.cohorts import ends
from hub_tools.jobs.job import value_at
from hub_tools.jobs.journal import Before, JournalView, Standing
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.population import count, id_conditions
from hub_tools.jobs.rollout import PLAN_NOTE, Rollout
from hub_tools.jobs.rollout_states import ENDED, NOTE, Step
from hub_tools.service import HubService, Json
from iot_core.errors import HubError
from iot_core.identity import Identity

__all__ = ["Explanation", "explain"]

_MEANINGS = {
    DeviceState.PENDING: "it was matched, and its turn has not come",
    DeviceState.SCHEDULED: "its write was begun and the job was cut off: ask again after edgeyard job resume",
    DeviceState.WRITTEN: "the hub holds the change for it; the device has not said anything yet",
    DeviceState.ACKNOWLEDGED: "it took the change over and said so",
    DeviceState.REFUSED: "it was given the change and refused it",
    DeviceState.FAILED: "the hub did not take the change for it",
    DeviceState.TIMED_OUT: "it was given the change and said nothing in time",
    DeviceState.SKIPPED: "it needed no change",
}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What is known: `matched` whether the job was for it; values by touched path, before the job and now."""

    device_id: str
    matched: bool
    why: str
    standing: Standing | None = None
    previous: Json | None = None
    now: Json | None = None

    def to_json(self) -> Json:
        return {
            "device": self.device_id,
            "matched": self.matched,
            "why": self.why,
            "state": self.standing and self.standing.state.value,
            "cause": (self.standing and self.standing.cause) or None,
            "undone": (self.standing and self.standing.undone) or None,
            "previous": self.previous,
            "now": self.now,
        }


async def explain(service: HubService, journal: JournalView, device_id: str) -> Explanation:
    """Explains one device; HubError for what the hub refuses, but a device that it does not know is an answer too."""
    spec = journal.head.spec
    standing = journal.standings().get(device_id)
    now = await _now(service, journal, device_id)
    if standing is None and now is None:
        return Explanation(device_id=device_id, matched=False, why="there is no such device")
    if standing is None and (later := await _later_wave(service, journal, device_id)):
        return Explanation(device_id=device_id, matched=True, why=later, now=now)
    if standing is None:
        reason = f"it did not match {spec.where} when the job was run"
        return Explanation(device_id=device_id, matched=False, why=reason, now=now)
    before = next(item for item in journal.befores() if item.device_id == device_id)
    return Explanation(
        device_id=device_id,
        matched=True,
        why=_why(standing, before, now, {str(path): spec.target(path) for path in spec.touched}),
        standing=standing,
        previous=dict(before.previous),
        now=now,
    )


async def _later_wave(service: HubService, journal: JournalView, device_id: str) -> str:
    """What a device waits for that matches a rollout and is in a wave that has not begun; "" for any other."""
    spec, plan = journal.head.spec, journal.last(PLAN_NOTE)
    if not plan:
        return ""
    rollout, step = Rollout.from_json(spec, plan), Step.from_json(journal.last(NOTE))
    if step.state in ENDED:
        return ""
    (ids, _), *_ = id_conditions([device_id])
    if not await count(service, ids if spec.where.strip() == EVERY_DEVICE else f"{ids} AND ({spec.where})"):
        return ""
    wave = sum(end == 0 for end in ends([device_id], rollout.cohort_salt, rollout.bounds)) + 1
    cause = f": {step.cause}" if step.cause else ""
    return f"its turn is in wave {wave} of {len(rollout.bounds)}; wave {step.wave + 1} is {step.state.value}{cause}"


def _why(standing: Standing, before: Before, now: Json | None, wanted: Json) -> str:
    text = f"{_MEANINGS[standing.state]}{f' ({standing.cause})' if standing.cause else ''}"
    if standing.undone:
        return f"{text}; then the job was undone: {standing.undone}"
    if now is None:
        return f"{text}; the device is gone since"
    had_it = standing.state in (DeviceState.WRITTEN, DeviceState.ACKNOWLEDGED, DeviceState.REFUSED)
    if had_it and wanted and now != wanted and now != dict(before.previous):
        return f"{text}; somebody set another value since"
    return text


async def _now(service: HubService, journal: JournalView, device_id: str) -> Json | None:
    """The touched values as they are; None for no such device."""
    try:
        twin = await service.get_twin(Identity(device_id))
    except HubError as error:
        if error.status == 404:
            return None
        raise
    sections: dict[str, Any] = {"desired": twin["properties"]["desired"], "tags": twin.get("tags")}
    return {str(path): value_at(sections[path.section], path.names) for path in journal.head.spec.touched}
