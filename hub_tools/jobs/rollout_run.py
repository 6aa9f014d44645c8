"""Carries a rollout out, wave by wave. Each step is on disk in the job's journal before it takes effect.

A wave's devices are read by their ids, whatever tag they carry. By the path of the job service a wave is one job by its
tag, where `job_service` finds that the tag names exactly the devices to be written to, else jobs by id.

A rollout that was cut off at any point goes on from the last step noted: devices of the wave that the journal knows
are finished as `resume` finishes a job, the others of the wave follow, and no device is in two waves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Any

from hub_tools.jobs.cohort_tags import CohortTags
from hub_tools.jobs.cohorts import ends, ranked
from hub_tools.jobs.gates import judge
from hub_tools.jobs.job_service import JobServicePath
from hub_tools.jobs.journal import Journal, operator_name
from hub_tools.jobs.outcomes import FINAL, DeviceState
from hub_tools.jobs.part import note_devices
from hub_tools.jobs.paths import Path
from hub_tools.jobs.planning import NoDeviceMatchesError, nobody
from hub_tools.jobs.population import read_devices
from hub_tools.jobs.progress import JobProgress
from hub_tools.jobs.resume import resume_job
from hub_tools.jobs.rollout import PLAN_NOTE, Rollout
from hub_tools.jobs.rollout_states import ENDED, NOTE, RolloutEvent, RolloutState, Step, next_step
from hub_tools.jobs.runner import JobInterruptedError, carry_on
from hub_tools.jobs.storage import Jobs
from hub_tools.jobs.telemetry_gate import Events
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing
from hub_tools.service import HubService, Json
from iot_core.errors import InputError

__all__ = ["APPROVAL_NOTE", "PAUSE_NOTE", "Approval", "RolloutProgress", "RolloutReport", "WaveOffer", "run_rollout"]

APPROVAL_NOTE, PAUSE_NOTE = "approval", "pause"
"""The kinds of the journal's notes that say who approved a wave, and who paused the rollout."""
LOOK_S = 1.0
"""How often a rollout that waits looks whether it shall stop."""
_GOOD = (DeviceState.ACKNOWLEDGED, DeviceState.SKIPPED)


@dataclass(frozen=True, kw_only=True)
class WaveOffer:
    """A wave that may begin: its number from 1, of how many, and the devices that get the change in it."""

    number: int
    of: int
    devices: int


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who wants a wave to begin, and why."""

    operator: str
    reason: str = ""


Approve = Callable[[WaveOffer], Awaitable[Approval | None]]


@dataclass(frozen=True, kw_only=True)
class RolloutProgress:
    """A step that was taken, and the devices of its wave by state."""

    state: RolloutState
    wave: int
    of: int
    states: Mapping[DeviceState, int]
    cause: str = ""
    until: float | None = None

    def to_json(self) -> Json:
        """One line of `--output json`."""
        states = {state.value: number for state, number in self.states.items() if number}
        line = {"event": "rollout", "state": self.state.value, "wave": self.wave, "of": self.of, "states": states}
        return {**line, "cause": self.cause or None, "until": self.until}


@dataclass(frozen=True, kw_only=True)
class RolloutReport:
    """Where a rollout stands when its run is over: done, aborted, held by a gate, or paused."""

    job_id: str
    state: RolloutState
    cause: str
    wave: int
    of: int
    matched: int
    states: Mapping[DeviceState, int]
    awaited: bool

    @property
    def complete(self) -> bool:
        """Whether all waves are over and every device of them followed."""
        good = (*_GOOD, *(() if self.awaited else (DeviceState.WRITTEN,)))
        return self.state is RolloutState.DONE and all(state in good for state, n in self.states.items() if n)

    @property
    def partly(self) -> bool:
        """Whether it stands still, to go on later, or is over and some of the devices have the change."""
        if self.state in ENDED:
            some = any(self.states.get(state, 0) for state in (*_GOOD, DeviceState.WRITTEN))
            return self.state is RolloutState.DONE and some
        return True

    def to_json(self) -> Json:
        """The last line of `--output json`."""
        return {
            "event": "report",
            "job": self.job_id,
            "state": self.state.value,
            "cause": self.cause or None,
            "wave": self.wave,
            "of": self.of,
            "matched": self.matched,
            "states": {state.value: number for state, number in self.states.items() if number},
            "complete": self.complete,
            "partly": self.partly,
        }


async def _always(offer: WaveOffer) -> Approval:
    del offer
    return Approval(operator=operator_name())


async def run_rollout(
    service: HubService,
    rollout: Rollout,
    path: Path,
    *,
    journal: Journal,
    jobs: Folder | Jobs | None = None,
    order: Sequence[str] = (),
    capacity: Capacity | None = None,
    timeout_s: float = 60.0,
    plain: bool = False,
    approve: Approve = _always,
    events: Events | None = None,
    on_step: Callable[[RolloutProgress], None] = lambda step: None,
    on_progress: Callable[[JobProgress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
    timing: Timing | None = None,
) -> RolloutReport:
    """Runs a rollout, or goes on with the one that the journal has, until it ends, a gate holds it, or `stop` is set.

    `order` are the devices where they were just read, as `cohorts.ranked` gives them; `jobs` is where the journals of
    cohort tags go. `approve` is asked before each wave where the rollout wants that, for as long as it takes; its None
    pauses the rollout. `events` gives telemetry to the gates on it.
    Raises InputError for a rollout that has ended, for such a gate without `events` or a bake, for a path that the
    waves cannot go by, and for a tag without `jobs`; NoDeviceMatchesError, JobInterruptedError when the hub goes away
    (go on later), HubError, StoreError.
    """
    run = _Run(service, rollout, path, journal, capacity, timing or Timing(), stop or asyncio.Event())
    run.timeout_s, run.plain = timeout_s, plain
    run.jobs, run.order = jobs, list(order)
    run.approve, run.events, run.on_step, run.on_progress = approve, events, on_step, on_progress
    return await run.carry_out()


class _Run:
    """A rollout under way. In memory: the ids of all matched devices."""

    timeout_s: float
    plain: bool
    jobs: Folder | Jobs | None
    approve: Approve
    events: Events | None
    on_step: Callable[[RolloutProgress], None]
    on_progress: Callable[[JobProgress], None]

    def __init__(
        self,
        service: HubService,
        rollout: Rollout,
        path: Path,
        journal: Journal,
        capacity: Capacity | None,
        timing: Timing,
        stop: asyncio.Event,
    ) -> None:
        self.service, self.rollout, self.path, self.journal = service, rollout, path, journal
        self.capacity, self.timing, self.stop = capacity, timing, stop
        self.spec = rollout.spec
        self.step = Step.from_json(journal.last(NOTE))
        self.order: list[str] = []
        self.targets: list[int] = []
        self.held: Mapping[str, DeviceState] | None = None
        """The devices of the wave as they were when a gate held it, while this run has some of them tried again."""
        self.too_many = ""

    @property
    def last_wave(self) -> bool:
        return self.step.wave == len(self.targets) - 1

    async def carry_out(self) -> RolloutReport:
        if self.step.state in ENDED:
            raise InputError(f"{self.spec.job_id} is {self.step.state.value}: there is nothing left to go on with")
        if self.rollout.listens and self.events is None:
            raise InputError("a gate on telemetry needs the connection string of a policy: only that can listen")
        self.rollout.check_path(self.path.name)
        await self._read()
        match self.step.state:
            case RolloutState.PLANNED:
                self.journal.note(PLAN_NOTE, **self.rollout.to_json())
                self._go(RolloutEvent.BEGIN_TAGGING if self.rollout.tag else RolloutEvent.BEGIN)
            case RolloutState.PAUSED:
                self._go(RolloutEvent.RESUME)
            case RolloutState.HELD:
                states = self._wave_states()
                if all(state in _GOOD for state in states.values()):
                    self._go(RolloutEvent.RESUME)
                else:
                    self.held = states
                    self._go(RolloutEvent.RETRY)
        while (work := self._work()) is not None:
            await work()
        return self._report()

    def _work(self) -> Callable[[], Awaitable[None]] | None:
        """What is to be done in the present state; None where the run is over."""
        return {
            RolloutState.TAGGING: self._tag,
            RolloutState.WAITING: self._wait,
            RolloutState.RUNNING: self._run,
            RolloutState.BAKING: self._bake,
            RolloutState.JUDGING: self._judge,
        }.get(self.step.state)

    def _go(self, event: RolloutEvent, **changes: Any) -> None:
        step = next_step(self.step, event, **changes)
        self.journal.note(NOTE, **step.to_json())
        self.journal.sync()
        self.step = step
        counts = Counter(self._wave_states().values())
        until = step.until if step.state is RolloutState.BAKING else None
        of = len(self.targets)
        progress = RolloutProgress(
            state=step.state, wave=step.wave + 1, of=of, states=counts, cause=step.cause, until=until
        )
        self.on_step(progress)

    async def _read(self) -> None:
        """The ids of the devices, in the order of the cohorts, and where each wave ends."""
        salt = self.rollout.cohort_salt
        if not self.order:
            pages = read_devices(self.service, self.spec, pace=query_pace(self.capacity, self.timing))
            self.order = ranked([row.device_id async for page in pages for row in page.rows], salt)
        if not self.order:
            raise NoDeviceMatchesError(nobody(self.spec))
        self.rollout = self.rollout.fixed(self.order)
        self.targets = ends(self.order, salt, self.journal.last(PLAN_NOTE).get("bounds") or self.rollout.bounds)

    async def _tag(self) -> None:
        if self.jobs is None:
            raise InputError("a cohort tag needs a place for the journals of its jobs")
        tags = CohortTags(
            service=self.service,
            rollout=self.rollout,
            jobs=self.jobs,
            host_name=self.journal.head.host_name,
            capacity=self.capacity,
            timing=self.timing,
            stop=self.stop,
            on_progress=self.on_progress,
        )
        starts = (0, *self.targets)
        with self._telling("the tagging"):
            cause = await tags.carry_out([self.order[starts[n] : end] for n, end in enumerate(self.targets)])
        if cause:
            self._go(RolloutEvent.PAUSE, cause=cause)
        else:
            self._go(RolloutEvent.TAGGED)

    async def _wait(self) -> None:
        known = self.journal.standings()
        of = len(self.targets)
        offer = WaveOffer(number=self.step.wave + 1, of=of, devices=len(self._fresh(known)))
        if self.stop.is_set():
            self._go(RolloutEvent.PAUSE, cause="stopped")
        elif not self.rollout.by_hand:
            self._go(RolloutEvent.APPROVE, begun=len(known))
        elif (approval := await self._ask(offer)) is not None:
            self.journal.note(APPROVAL_NOTE, wave=offer.number, operator=approval.operator, reason=approval.reason)
            self._go(RolloutEvent.APPROVE, begun=len(known))
        else:
            cause = "stopped" if self.stop.is_set() else f"wave {offer.number} was not approved"
            self._go(RolloutEvent.PAUSE, cause=cause)

    async def _ask(self, offer: WaveOffer) -> Approval | None:
        """What somebody says of the wave; None also when the rollout is stopped before anybody did."""
        asking, stopping = asyncio.ensure_future(self.approve(offer)), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait((asking, stopping), return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()
            stopping.cancel()
            await asyncio.gather(asking, stopping, return_exceptions=True)

    async def _run(self) -> None:
        with self._telling(f"wave {self.step.wave + 1}"):
            stopped = await self._wave()
        states = self._wave_states()
        self._check(Counter(standing.state for standing in self.journal.standings().values()))
        if self.too_many:
            self._go(RolloutEvent.TOO_MANY_FAILED, cause=self.too_many)
        elif stopped:
            self._go(RolloutEvent.PAUSE, cause=stopped)
        else:
            done = self.last_wave and not self.rollout.listens
            bake_s = 0.0 if done or not states or states == self.held else self.rollout.bake_s
            self.held = None
            self._go(RolloutEvent.WAVE_ENDED, until=self.timing.clock.now() + bake_s)

    async def _bake(self) -> None:
        while (left := self.step.until - self.timing.clock.now()) > 0 and not self.stop.is_set():
            await self.timing.sleep(min(left, LOOK_S))
        if self.stop.is_set():
            self._go(RolloutEvent.PAUSE, cause="stopped")
        else:
            self._go(RolloutEvent.BAKED)

    async def _judge(self) -> None:
        since = self.step.until - self.rollout.bake_s
        cause = await judge(self.rollout.gates, self.service, self._wave_states(), events=self.events, since=since)
        if cause:
            self._go(RolloutEvent.GATE_FAILED, cause=cause)
        elif self.last_wave:
            self._go(RolloutEvent.LAST_PASSED)
        else:
            self._go(RolloutEvent.GATES_PASSED, wave=self.step.wave + 1, begun=len(self.journal.standings()))

    async def _wave(self) -> str:
        """Write to the devices of the wave that have not been, and again to those that did not follow where a gate held
        it; why that came to no end, or "".
        """
        if self.held is not None or any(state not in FINAL for state in self._wave_states().values()):
            report = await resume_job(
                self.service,
                self.journal,
                self._way(),
                retry=self.held is not None,
                on_progress=self._watch({}),
                **self._options(),
            )
            if report.stopped:
                return report.stopped
        known = self.journal.standings()
        fresh = self._fresh(known)
        remaining = await note_devices(self.service, self.journal, fresh, capacity=self.capacity, timing=self.timing)
        if not remaining.to_write:
            return ""
        before = Counter(standing.state for standing in known.values())
        report = await carry_on(
            self.service,
            self.spec,
            self._way(),
            remaining,
            journal=self.journal,
            on_progress=self._watch(before),
            **self._options(),
        )
        return report.stopped

    def _way(self) -> Path:
        """The path, for the wave that is to be written to."""
        if not (self.rollout.tag and isinstance(self.path, JobServicePath)):
            return self.path
        return self.path.by(f"tags.{self.rollout.tag} = {self.step.wave + 1}")

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Says how to go on with a rollout when the hub goes away."""
        try:
            yield
        except JobInterruptedError as error:
            raise JobInterruptedError(
                f"{what} of {self.spec.job_id} was cut off: {error.__cause__ or error} "
                f"Go on with: edgeyard job rollout --resume {self.spec.job_id}"
            ) from error

    def _options(self) -> dict[str, Any]:
        return {
            "capacity": self.capacity,
            "timeout_s": self.timeout_s,
            "plain": self.plain,
            "stop": self.stop,
            "timing": self.timing,
        }

    def _watch(self, before: Mapping[DeviceState, int]) -> Callable[[JobProgress], None]:
        """Passes progress on, and stops the wave when too many devices have failed."""

        def look(progress: JobProgress) -> None:
            self.on_progress(progress)
            self._check(Counter(before) + Counter(progress.states))
            if self.too_many:
                self.stop.set()

        return look

    def _check(self, counts: Mapping[DeviceState, int]) -> None:
        if self.rollout.abort is not None and not self.too_many:
            self.too_many = self.rollout.abort.reached(counts, awaited=self.spec.awaits)

    def _fresh(self, known: Mapping[str, Any]) -> list[str]:
        """Devices of the wave that the journal does not know yet."""
        return [name for name in self.order[: self.targets[self.step.wave]] if name not in known]

    def _wave_states(self) -> dict[str, DeviceState]:
        standings = list(self.journal.standings().items())
        return {name: standing.state for name, standing in standings[self.step.begun :]}

    def _report(self) -> RolloutReport:
        return RolloutReport(
            job_id=self.spec.job_id,
            state=self.step.state,
            cause=self.step.cause,
            wave=self.step.wave + 1,
            of=len(self.targets),
            matched=len(self.order),
            states=Counter(standing.state for standing in self.journal.standings().values()),
            awaited=self.spec.awaits,
        )
