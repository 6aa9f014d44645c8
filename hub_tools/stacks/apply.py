"""Applying a stack: just what was previewed, beside what is there, until devices report success.

    preview → agreed → lease → trial (new ones made, waited for) → commit (old ones removed, new ones settled)
                                 └ failure, time up, Ctrl-C → taken back; the old ones were in force all the time

The local state holds each step before it is done, so an `up` that is killed is finished or taken back by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hub_tools.manifests import Deployment, Layer
from hub_tools.service import HubService, HubUnreachableError
from hub_tools.stacks.history import Version, read_version, write_version
from hub_tools.stacks.lease import Lease, LeaseLostError, LeaseRules, holder_name, leased, new_token
from hub_tools.stacks.operations import Bodies, back_out, bodies_of, commit, planned, try_out
from hub_tools.stacks.preview import Check, Preview, compute_preview
from hub_tools.stacks.recovery import needs_recovery, recover
from hub_tools.stacks.state import Journal, Operation, Phase, StackFolder, StateError
from hub_tools.stacks.waiting import WaitReport, WaitRules, read_scope, wait_for_success
from hub_tools.stacks.world import World, read_world
from iot_core.clock import iso
from iot_core.errors import EdgeyardError, HubError, InputError

__all__ = [
    "Applier",
    "PlanError",
    "StackFailedError",
    "StackRefusedError",
    "StackStoppedError",
    "UpResult",
    "Watcher",
    "check_secrets",
]

Items = Mapping[str, Deployment | Layer]
ValueOf = Callable[[str], str]


class StackRefusedError(InputError):
    """The preview holds errors; nothing was changed."""


class PlanError(InputError):
    """The hub, or the program, is no longer what was previewed; nothing was changed."""


class StackFailedError(EdgeyardError):
    """Too few devices succeeded; what was new is gone again."""

    def __init__(self, message: str, report: WaitReport) -> None:
        super().__init__(message)
        self.report = report


class StackStoppedError(EdgeyardError):
    """Stopped by the user; what was new is gone again."""


class Watcher(Protocol):
    """Is told what happens, and asked before anything is changed."""

    def previewed(self, preview: Preview) -> None:
        """What would be applied."""

    async def agrees(self, question: str) -> bool:
        """Whether to go on."""
        ...

    def step(self, text: str) -> None:
        """What is about to be done; it is in the local state already."""

    def waits(self, report: WaitReport) -> None:
        """How far the devices are."""

    def note(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True, kw_only=True)
class UpResult:
    """`agreed` is False when the user said no; `version` is in force now; `report` is of the devices waited for."""

    preview: Preview
    agreed: bool = True
    version: int | None = None
    report: WaitReport | None = None


@dataclass(frozen=True, kw_only=True)
class Applier:
    """Applies one stack to one environment, whose folder is locked by the caller."""

    service: HubService
    folder: StackFolder
    stack: str
    environment: str
    value_of: ValueOf
    watcher: Watcher
    checks: Sequence[Check] = ()
    limit: int = 100
    wait: WaitRules = field(default_factory=WaitRules)
    lease: LeaseRules = field(default_factory=LeaseRules)
    holder: str = field(default_factory=holder_name)

    async def up(self, items: Items, *, fingerprint: str | None = None, note: str = "") -> UpResult:
        """Apply; `fingerprint` is that of the preview that it has to be.

        Raises StackRefusedError, PlanError, LeaseHeldError, LeaseLostError, StackFailedError, StackStoppedError, an
        InputError for a secret without a value, and what the hub answers. After an error the old is in force, or the
        next `up` sees to it.
        """
        check_secrets(items, self.value_of)
        journal = self.open_journal()
        world, preview = await self._look(items)
        if needs_recovery(journal, self.stack, self.environment, world.configurations):
            if not await self.watcher.agrees("first finish or take back a change that was interrupted"):
                return UpResult(preview=preview, agreed=False)
            async with leased(self.make_lease(journal)) as lease:
                journal.check = lease.check
                self.watcher.note(await self._recovered(journal, items))
            world, preview = await self._look(items)
        self.watcher.previewed(preview)
        _refuse(preview, fingerprint)
        if not preview.has_changes:
            return UpResult(preview=preview, version=self._recorded(journal, items, preview, note))
        if not await self.watcher.agrees(f"apply the stack {self.stack} to {self.environment}"):
            return UpResult(preview=preview, agreed=False)
        async with leased(self.make_lease(journal)) as lease:
            journal.check = lease.check
            world, again = await self._look(items)
            if again.fingerprint != preview.fingerprint:
                raise PlanError("the hub has changed since the preview: look at a new one and apply again")
            return await self._apply(journal, lease, items, world, again, note)

    def open_journal(self) -> WatchedJournal:
        """The local state; StateError when it cannot be used."""
        return WatchedJournal(self.folder, self.service.host_name, self.watcher)

    async def _look(self, items: Items) -> tuple[World, Preview]:
        world = await read_world(self.service, [item.condition for item in items.values()])
        preview = compute_preview(
            self.stack,
            self.environment,
            items,
            world,
            value_of=self.value_of,
            checks=self.checks,
            limit=self.limit,
        )
        return world, preview

    def make_lease(self, journal: Journal) -> Lease:
        """The lease; its token is kept first, so that after a crash this machine knows it for its own."""
        token = journal.state.lease or new_token()
        journal.change(lease=token)
        return Lease(self.service, self.stack, self.environment, token, self.holder, self.lease)

    async def _recovered(self, journal: Journal, items: Items) -> str:
        world, _ = await self._look(items)
        return await recover(journal, self.service, self.stack, self.environment, world.configurations)

    async def _apply(
        self, journal: WatchedJournal, lease: Lease, items: Items, world: World, preview: Preview, note: str
    ) -> UpResult:
        version = self._version(journal, items, preview, note)
        token = new_token()
        operation = planned(preview.changes, version.number, token)
        bodies = bodies_of(preview.changes, items, self.value_of, token)
        journal.change(operation=operation)
        report = await self._tried(journal, lease, operation, bodies, world, preview)
        write_version(self.folder, version)
        journal.step("remove what is replaced", phase="commit")
        await commit(journal, self.service, operation)
        return UpResult(preview=preview, version=version.number, report=report)

    async def _tried(
        self,
        journal: Journal,
        lease: Lease,
        operation: Operation,
        bodies: Bodies,
        world: World,
        preview: Preview,
    ) -> WaitReport:
        """The new ones made and waited for; taken back on any failure."""
        try:
            scope = await read_scope(self.service, world, preview.changes, self.wait)
            await try_out(journal, self.service, operation, bodies)
            journal.step("wait for devices")
            report = await wait_for_success(
                self.service, scope, self.wait, on_progress=self.watcher.waits, check=lease.check
            )
            if not report.reached:
                raise StackFailedError(_failure(report, self.wait), report)
            return report
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            await self._taken_back(journal, operation)
            raise StackStoppedError("stopped: what was new is taken back, the old deployments are in force") from None
        except Exception:
            await self._taken_back(journal, operation)
            raise

    async def _taken_back(self, journal: Journal, operation: Operation) -> None:
        try:
            await back_out(journal, self.service, operation)
        except (HubError, HubUnreachableError, LeaseLostError) as error:
            self.watcher.note(f"not all could be taken back ({error}): the next `edgeyard up` does")

    def _version(self, journal: Journal, items: Items, preview: Preview, note: str) -> Version:
        return Version(
            number=journal.state.last + 1,
            applied=iso(self.lease.clock.now()),
            by=self.holder,
            items=items,
            ids={change.name: str(change.new["id"]) for change in preview.changes if change.new},
            note=note,
        )

    def _recorded(self, journal: Journal, items: Items, preview: Preview, note: str) -> int:
        """The version in force. It is written anew where the local state is lost, or is of another machine's past."""
        version = self._version(journal, items, preview, note or "found in the hub")
        if not self._is_current(journal.state.current, version):
            write_version(self.folder, version)
            journal.change(current=version.number, last=version.number)
        return journal.state.current or 0

    def _is_current(self, number: int | None, version: Version) -> bool:
        try:
            return number is not None and read_version(self.folder, number).same_as(version)
        except StateError:
            return False


class WatchedJournal(Journal):
    """Takes no step without the lease, and tells the watcher of each."""

    def __init__(self, folder: StackFolder, hub: str, watcher: Watcher) -> None:
        super().__init__(folder, hub)
        self._watcher = watcher
        self.check: Callable[[], None] = lambda: None

    def step(self, text: str, *, phase: Phase | None = None) -> None:
        self.check()
        super().step(text, phase=phase)
        self._watcher.step(text)


def check_secrets(items: Items, value_of: ValueOf) -> None:
    """Ask for every secret once; InputError that tells all without a value, before anything is changed."""
    names: dict[str, str] = {}

    def note(name: str) -> str:
        names[name] = name
        return ""

    for item in items.values():
        item.to_content(note)
    missing = []
    for name in names:
        try:
            value_of(name)
        except InputError as error:
            missing.append(str(error))
    if missing:
        raise InputError("; ".join(missing))


def _refuse(preview: Preview, fingerprint: str | None) -> None:
    if fingerprint is not None and preview.fingerprint != fingerprint:
        raise PlanError("the hub, or the program, has changed since the plan was made: make a new one")
    if preview.errors:
        first = preview.errors[0]
        more = f" (and {len(preview.errors) - 1} more)" if len(preview.errors) > 1 else ""
        raise StackRefusedError(f"{first.rule} {first.path}: {first.message}. {first.fix}{more}")


def _failure(report: WaitReport, rules: WaitRules) -> str:
    said = "; ".join(f"{device}: {reason}" for device, reason in list(report.failed.items())[:3])
    silent = f"{len(report.pending)} have not reported within {rules.timeout_s:g} s" if report.pending else ""
    why = "; ".join(filter(None, [said, silent]))
    return (
        f"{report.succeeded} of {report.total} devices report success, {rules.min_success:g} % are asked for ({why}): "
        "what was new is taken back, the old deployments are in force"
    )
