"""Waiting until devices have taken a deployment: what their agents report, asked for again and again.

A device has succeeded when its twin shows the deployment and its agent has reported the desired properties' present
version with status 200 (IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins",
lastDesiredVersion and lastDesiredStatus). Devices that were not seen lately are not waited for; they follow when they
come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from hub_tools.service import HubService
from hub_tools.stacks.ownership import is_on_trial
from hub_tools.stacks.preview import ConfigurationChange
from hub_tools.stacks.targeting import Targeting, bits
from hub_tools.stacks.world import World
from iot_core.clock import Clock, SystemClock, from_iso
from iot_core.configurations import compile_target
from iot_core.errors import InputError
from iot_core.json_types import JsonObject

__all__ = ["Scope", "WaitReport", "WaitRules", "awaited", "read_scope", "wait_for_success"]

AGENTS = "FROM devices.modules WHERE moduleId = '$edgeAgent'"
PAGE = 1000
SUCCESS = 200
WRONG_DEPLOYMENT = frozenset({400, 412, 417})
"""Statuses that say that the deployment itself cannot be taken; what others say, the agent tries again."""
PENDING = 406
"""What an agent reports of a version that it has not tried yet."""
RETRIED_FOR_S = 60.0
"""How long a failure that the agent tries to mend may stand before it counts."""
POLL_SHARE = 4
"""The pause between two looks is at least this many looks long, so that big fleets are asked less often."""


@dataclass(frozen=True, kw_only=True)
class WaitRules:
    """`min_success` is in percent of the devices seen within `seen_s`; times are in seconds."""

    min_success: float = 100.0
    timeout_s: float = 600.0
    seen_s: float = 3600.0
    poll_s: float = 2.0
    retried_for_s: float = RETRIED_FOR_S
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The deployments by device that were seen lately and have to report, and the devices that were not seen."""

    expected: Mapping[str, frozenset[str]]
    offline: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WaitReport:
    """How far the devices are; `failed` gives what each of them says."""

    total: int
    succeeded: int
    failed: Mapping[str, str]
    pending: tuple[str, ...]
    offline: tuple[str, ...]
    reached: bool
    """Whether as many as asked for have succeeded."""

    def to_json(self) -> JsonObject:
        return {
            "devices": self.total,
            "succeeded": self.succeeded,
            "failed": dict(self.failed),
            "pending": list(self.pending),
            "offline": list(self.offline),
        }


def awaited(changes: Sequence[ConfigurationChange]) -> list[ConfigurationChange]:
    """The changes that devices have to take before they count as made."""
    return [change for change in changes if change.new and _counts(change)]


def _counts(change: ConfigurationChange) -> bool:
    if change.action in ("create", "replace"):
        return True
    if change.action != "update" or change.old is None:
        return False
    return is_on_trial(change.old) or bool({"targetCondition", "priority"} & set(change.why))


async def read_scope(
    service: HubService, world: World, changes: Sequence[ConfigurationChange], rules: WaitRules
) -> Scope:
    """Who is to be waited for, by what the changes target and when their agents were seen."""
    bodies = [change.new for change in awaited(changes) if change.new]
    targeting = Targeting([compile_target(str(body.get("targetCondition") or "")) for body in bodies])
    expected = {
        twin["deviceId"]: frozenset(str(bodies[position]["id"]) for position in bits(mask))
        for twin in world.twins
        if (mask := targeting.mask(twin))
    }
    if not expected:
        return Scope(expected={}, offline=())
    earliest = rules.clock.now() - rules.seen_s
    rows = service.query(f"SELECT deviceId, connectionState, lastActivityTime {AGENTS}", page_size=PAGE)
    seen = {row["deviceId"] async for row in rows if _seen(row, earliest)}
    return Scope(
        expected={device: ids for device, ids in expected.items() if device in seen},
        offline=tuple(sorted(expected.keys() - seen)),
    )


def _seen(row: JsonObject, earliest: float) -> bool:
    if row.get("connectionState") == "Connected":
        return True
    try:
        return from_iso(str(row.get("lastActivityTime") or "")) >= earliest
    except InputError:
        return False


async def wait_for_success(
    service: HubService,
    scope: Scope,
    rules: WaitRules,
    *,
    on_progress: Callable[[WaitReport], None] = lambda report: None,
    check: Callable[[], None] = lambda: None,
) -> WaitReport:
    """Wait until enough devices have succeeded, can no longer, or time is up; the report says which.

    `check` is called before each look, and what it raises ends the wait.
    """
    deadline = time.monotonic() + rules.timeout_s
    watch = _Watch(scope, rules)
    while True:
        check()
        started = time.monotonic()
        report = watch.read(await _rows(service, scope)) if scope.expected else watch.read({})
        on_progress(report)
        if report.reached or watch.hopeless(report) or time.monotonic() >= deadline:
            return report
        took_s = time.monotonic() - started
        await asyncio.sleep(max(rules.poll_s, POLL_SHARE * took_s))


async def _rows(service: HubService, scope: Scope) -> dict[str, JsonObject]:
    """What the agents of devices say that one of the deployments targets."""
    ids = sorted({one for ids in scope.expected.values() for one in ids})
    targeted = " OR ".join(f"configurations.[[{one}]].status IN ['Applied', 'Targeted']" for one in ids)
    columns = (
        "deviceId, configurations, properties.desired.$version AS wanted, "
        "properties.reported.lastDesiredVersion AS version, properties.reported.lastDesiredStatus AS status"
    )
    rows = service.query(f"SELECT {columns} {AGENTS} AND ({targeted})", page_size=PAGE)
    return {row["deviceId"]: row async for row in rows if row["deviceId"] in scope.expected}


class _Watch:
    """Judges what agents report, and remembers since when a failure stands."""

    def __init__(self, scope: Scope, rules: WaitRules) -> None:
        self._scope, self._rules = scope, rules
        self._failing_since: dict[str, float] = {}
        self._for_good: set[str] = set()
        self._needed = ceil(len(scope.expected) * rules.min_success / 100)

    def read(self, rows: Mapping[str, JsonObject]) -> WaitReport:
        succeeded, pending = 0, []
        failed: dict[str, str] = {}
        for device, ids in self._scope.expected.items():
            code, reason = _state(rows.get(device), ids)
            if code == SUCCESS:
                succeeded += 1
            elif code == PENDING:
                pending.append(device)
            else:
                failed[device] = reason
            self._note(device, code)
        return WaitReport(
            total=len(self._scope.expected),
            succeeded=succeeded,
            failed=failed,
            pending=tuple(pending),
            offline=self._scope.offline,
            reached=succeeded >= self._needed,
        )

    def hopeless(self, report: WaitReport) -> bool:
        """Whether so many have failed for good that the others cannot make up for it."""
        return report.total - len(self._for_good) < self._needed

    def _note(self, device: str, code: int) -> None:
        self._for_good.discard(device)
        if code in (SUCCESS, PENDING):
            self._failing_since.pop(device, None)
            return
        now = time.monotonic()
        since = self._failing_since.setdefault(device, now)
        if code in WRONG_DEPLOYMENT or now - since >= self._rules.retried_for_s:
            self._for_good.add(device)


def _state(row: JsonObject | None, ids: Collection[str]) -> tuple[int, str]:
    """The status of one device, and what it says; a device that the deployments do not reach past others has it."""
    statuses = (row or {}).get("configurations") or {}
    if row is None or any(one not in statuses for one in ids):
        return PENDING, ""
    if not any(statuses[one].get("status") == "Applied" for one in ids):
        return SUCCESS, ""
    status = row.get("status") or {}
    code = status.get("code")
    if row.get("version") != row.get("wanted") or not isinstance(code, int):
        return PENDING, ""
    return code, f"{status.get('description') or 'it gives no reason'} (status {code})"
