"""A rollout: one job in waves, with a wait and gates between them. What is to be done, as a value; it runs nothing.

    rollout = (
        Rollout(JobSpec(where="tags.building = 'B1'", desired={"reportingInterval": 5}))
        .canary(5)
        .bake("30m")
        .require("acknowledged >= 90%")
        .require("SELECT COUNT() AS alarms FROM devices WHERE properties.reported.alarm = true", most=3)
        .then(10, 50, 100)
        .abort_if("5% of 20")
    )

`hub_tools.jobs.rollout_run.run_rollout` carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hub_tools.jobs.cohorts import Wave, bounds, parse_waves
from hub_tools.jobs.forecast import BULK, DIRECT, JOB_SERVICE
from hub_tools.jobs.gates import Abort, Gate, gate_from_json, gate_to_json, parse_abort, parse_gate
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.telemetry_gate import TelemetryGate
from hub_tools.service import Json
from iot_core.errors import InputError

__all__ = ["PLAN_NOTE", "ROLLOUT_PREFIX", "Rollout", "is_rollout", "rollout_of"]

PLAN_NOTE = "rollout plan"
"""The kind of the journal's note that holds what `Rollout.to_json` gives."""
ROLLOUT_PREFIX = "rollout-"
"""By its id a rollout is known before the first note, so that nobody resumes it as a job without waves."""
COHORT_INFIX = "-cohort-"
MOST_WAVES = 100
WHOLE = (Wave(percent=10), Wave(percent=50), Wave(percent=100))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def is_rollout(job_id: str) -> bool:
    """Whether a job of that id runs in waves."""
    return job_id.startswith(ROLLOUT_PREFIX) and not rollout_of(job_id)


def rollout_of(job_id: str) -> str:
    """The rollout whose devices the job of that id gives their cohort's tag; "" for any other job."""
    rollout, infix, wave = job_id.rpartition(COHORT_INFIX)
    return rollout if infix and wave.isdecimal() and rollout.startswith(ROLLOUT_PREFIX) else ""


@dataclass(frozen=True)
class Rollout:
    """A job in waves; every method gives another rollout and leaves this one as it is. Raises InputError.

    `waves` count all devices that have the change when a wave is over; without any they are 10, 50 and 100 per cent.
    Gates and bake are for every wave, whatever the order in which they are given; after the last wave nobody waits,
    unless a gate is on telemetry.
    The id of the job begins with `rollout-`; the salt of the cohorts is the job's id unless `salted` says another.
    `bounds` are the cohorts once they are known, see `fixed`; `tag` is the name of the tag that devices get for them.
    """

    spec: JobSpec
    waves: tuple[Wave, ...] = ()
    bake_s: float = 0.0
    gates: tuple[Gate, ...] = ()
    abort: Abort | None = None
    by_hand: bool = False
    most_per_second: float | None = None
    salt: str = ""
    tag: str = ""
    bounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.spec.kind != "twin":
            raise InputError(f"a rollout sets properties and tags; a {self.spec.kind} goes by edgeyard job run")
        if self.spec.start is not None:
            raise InputError("a rollout has no --start: its first wave begins when it is told to")
        if not is_rollout(self.spec.job_id):
            name = self.spec.job_id.removeprefix("job-")
            object.__setattr__(self, "spec", replace(self.spec, job_id=f"{ROLLOUT_PREFIX}{name}"))
        if self.bounds and len(self.bounds) != len(self.planned_waves):
            raise InputError(f"{self.spec.job_id} has {len(self.planned_waves)} waves and {len(self.bounds)} cohorts")
        if self.tag:
            self._check_tag()

    @property
    def planned_waves(self) -> tuple[Wave, ...]:
        """The waves, those that nobody had to name included; a canary alone is followed by the usual ones."""
        if any(wave.percent is not None for wave in self.waves) or len(self.waves) > 1:
            return self.waves
        return (*self.waves, *WHOLE)

    @property
    def listens(self) -> bool:
        """Whether a gate is on telemetry; InputError where there is no bake in which devices could send any."""
        found = next((gate for gate in self.gates if isinstance(gate, TelemetryGate)), None)
        if found is not None and not self.bake_s:
            raise InputError(f"--require {str(found)!r} needs --bake: the time in which the devices of a wave send")
        return found is not None

    @property
    def cohort_salt(self) -> str:
        """What is hashed beside the id of a device."""
        return self.salt or self.spec.job_id

    def canary(self, devices: int) -> Rollout:
        """So many devices first."""
        return replace(self, waves=(Wave(count=devices), *self.waves))

    def then(self, *percents: float) -> Rollout:
        """Waves up to so many per cent of the devices each."""
        return replace(self, waves=(*self.waves, *(Wave(percent=percent) for percent in percents)))

    def then_waves(self, text: str) -> Rollout:
        """Waves as the command line has them: `20,10%,100%`, counts or per cent."""
        return replace(self, waves=(*self.waves, *parse_waves(text)))

    def bake(self, time: str | float) -> Rollout:
        """Wait so long after a wave before its gates are looked at: `30m`, or seconds."""
        return replace(self, bake_s=_seconds(time))

    def require(self, text: str, *, least: int | None = None, most: int | None = None) -> Rollout:
        """One more gate, see `gates.parse_gate`."""
        return replace(self, gates=(*self.gates, parse_gate(text, least=least, most=most)))

    def abort_if(self, failures: str | float, *, sample: int | None = None) -> Rollout:
        """End when more than that share of the devices failed: "5% of 20", or 0.05 with a sample."""
        abort = parse_abort(failures) if isinstance(failures, str) else Abort(share=failures)
        return replace(self, abort=abort if sample is None else replace(abort, sample=sample))

    def approve(self) -> Rollout:
        """Somebody is asked before each wave."""
        return replace(self, by_hand=True)

    def at_most(self, per_second: float) -> Rollout:
        """Not more writes a second, whatever the throttles allow."""
        if not per_second > 0:
            raise InputError(f"at_most({per_second:g}): write more than 0 devices a second")
        return replace(self, most_per_second=per_second)

    def salted(self, salt: str) -> Rollout:
        """Another salt, other cohorts; the same salt, the same ones as in another rollout."""
        return replace(self, salt=salt)

    def cohort_tag(self, name: str) -> Rollout:
        """Before the first wave each device gets this tag with the number of its wave, from 1.

        One rollout at a time may use a name: it says where a device is in that rollout.
        """
        if not name:
            raise InputError("cohort_tag: write the name of a tag, such as rolloutWave")
        return replace(self, tag=name)

    def fixed(self, order: Sequence[str]) -> Rollout:
        """With the cohorts of these devices, in their order, unless a plan has fixed others already."""
        return self if self.bounds else replace(self, bounds=bounds(self.planned_waves, order, self.cohort_salt))

    def tagging(self, wave: int) -> JobSpec:
        """The job that gives the devices of a wave, counted from 0, their tag; which ones they are no query can say."""
        return JobSpec(
            where=self.spec.where,
            named=self.spec.named,
            tags={self.tag: wave + 1},
            wait=False,
            expires=self.spec.expires,
            window=self.spec.window,
            reason=f"wave {wave + 1} of {self.spec.job_id}",
            job_id=f"{self.spec.job_id}{COHORT_INFIX}{wave + 1}",
        )

    def check_path(self, name: str) -> None:
        """InputError where the waves cannot go by that path."""
        if name == JOB_SERVICE and not self.tag:
            raise InputError(
                "--path jobs: no query can name a wave's devices, so they need a tag that does (--cohort-tag NAME); "
                "else a rollout goes by direct or bulk"
            )
        if name == JOB_SERVICE and self.most_per_second is not None:
            raise InputError("--path jobs: a job of the hub keeps to no --rate: leave it out, or go by direct or bulk")
        if name not in (DIRECT, BULK, JOB_SERVICE):
            raise InputError(f"--path {name}: a rollout goes by direct or bulk, and with --cohort-tag by jobs")

    def _check_tag(self) -> None:
        if not _TAG.fullmatch(self.tag):
            raise InputError(
                f"--cohort-tag {self.tag[:80]!r}: a name of up to 64 letters, digits and _, no digit first"
            )
        if self.tag in self.spec.tags:
            raise InputError(f"--cohort-tag {self.tag}: the rollout sets that tag itself; take another name")
        if len(self.planned_waves) > MOST_WAVES:
            raise InputError(f"--cohort-tag: a rollout with a tag has up to {MOST_WAVES} waves")
        self.tagging(len(self.planned_waves) - 1)  # refuses a job id that leaves no room for the wave's number

    def to_json(self) -> Json:
        """All but the job, which the head of its journal has."""
        return {
            "waves": [str(wave) for wave in self.waves],
            "bake": self.bake_s,
            "gates": [gate_to_json(gate) for gate in self.gates],
            "abort": self.abort and {"share": self.abort.share, "sample": self.abort.sample},
            "by_hand": self.by_hand,
            "rate": self.most_per_second,
            "salt": self.salt,
            "tag": self.tag,
            "bounds": list(self.bounds),
        }

    @classmethod
    def from_json(cls, spec: JobSpec, document: Json) -> Rollout:
        """The rollout of a job and what `to_json` wrote; InputError when it is none."""
        try:
            return cls(
                spec,
                waves=parse_waves(",".join(document["waves"])) if document["waves"] else (),
                bake_s=document["bake"],
                gates=tuple(gate_from_json(gate) for gate in document["gates"]),
                abort=document["abort"] and Abort(**document["abort"]),
                by_hand=document["by_hand"],
                most_per_second=document["rate"],
                salt=document["salt"],
                tag=document.get("tag", ""),
                bounds=tuple(document.get("bounds", ())),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{spec.job_id} has no rollout that edgeyard wrote: {error!r}") from None


def _seconds(time: str | float) -> float:
    if isinstance(time, str):
        match = _DURATION.fullmatch(time.strip())
        time = float(match[1]) * _SECONDS[match[2]] if match else -1.0
    if not 0 <= time < float("inf"):
        raise InputError("bake: write a time such as 90s, 30m, 2h or 1d")
    return time
