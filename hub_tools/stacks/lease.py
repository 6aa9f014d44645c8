"""One operator at a time: a lease, kept in the hub as a configuration that targets nobody.

Its labels say who holds it and until when; If-Match decides between two who come at once. A lease that has run out may
be taken over, and one that this machine held itself, by its token, at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hub_tools.service import HubService, HubUnreachableError
from hub_tools.stacks.ownership import ENVIRONMENT, LEASE, STACK, lease_id
from iot_core.clock import Clock, SystemClock, from_iso, iso
from iot_core.errors import EdgeyardError, HubError, InputError
from iot_core.json_types import JsonObject

__all__ = ["Lease", "LeaseHeldError", "LeaseLostError", "LeaseRules", "holder_name", "leased", "new_token"]

HOLDER, EXPIRES = "edgeyard-holder", "edgeyard-expires"
CONTENT: JsonObject = {"deviceContent": {"properties.desired.edgeyardLease": {}}}
"""A configuration has to have a content; without a target it is written to no device."""
GONE, TAKEN, MOVED = 404, 409, 412


class LeaseHeldError(EdgeyardError):
    """Another operator changes the stack now."""

    def __init__(self, what: str, holder: str, expires: str) -> None:
        super().__init__(f"{holder} is changing {what} and holds its lease until {expires} (UTC): try again then")
        self.holder, self.expires = holder, expires


class LeaseLostError(EdgeyardError):
    """The lease ran out or was taken while it was needed."""


@dataclass(frozen=True, kw_only=True)
class LeaseRules:
    """How long a lease is good for without being renewed; it is renewed three times as often."""

    duration_s: float = 60.0
    clock: Clock = field(default_factory=SystemClock)


def holder_name() -> str:
    """Who the others are told of: user@machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def new_token() -> str:
    """What the lease is known by to the one who holds it."""
    return uuid.uuid4().hex


class Lease:
    """The lease on a stack's environment."""

    def __init__(
        self, service: HubService, stack: str, environment: str, token: str, holder: str, rules: LeaseRules
    ) -> None:
        self._service, self._token, self._holder, self._rules = service, token, holder, rules
        self._id = lease_id(stack, environment)
        self._what = f"{stack}/{environment}"
        self._labels = {STACK: stack, ENVIRONMENT: environment, LEASE: token, HOLDER: holder}
        self._etag: str | None = None
        self._until = 0.0

    async def acquire(self) -> None:
        """Take it; LeaseHeldError when another has it."""
        found = await self._find()
        if found is not None and not self._free(found):
            raise self._held(found)
        try:
            await self._put(found["etag"] if found is not None else None)
        except HubError as error:
            if error.status not in (TAKEN, MOVED, GONE):
                raise
            winner = await self._find() or {}
            # A call that was made twice because its first answer was lost finds what it wrote itself.
            if (winner.get("labels") or {}).get(LEASE) != self._token:
                raise self._held(winner) from None
            self._etag, self._until = winner["etag"], from_iso(winner["labels"][EXPIRES])

    async def renew(self) -> None:
        """Have it run anew; LeaseLostError when it is no longer ours."""
        try:
            await self._put(self._etag)
        except HubError as error:
            if error.status in (GONE, MOVED):
                self._until = 0.0
                raise self._lost() from None
            raise

    def check(self) -> None:
        """LeaseLostError unless it is good now."""
        if self._rules.clock.now() >= self._until:
            raise self._lost()

    async def release(self) -> None:
        """Give it up; nothing happens when it is gone or taken already."""
        try:
            await self._service.delete_configuration(self._id, etag=self._etag)
        except HubError as error:
            if error.status not in (GONE, MOVED):
                raise

    async def keep(self) -> None:
        """Renew it again and again until cancelled, or lost; a hub that is away for a while is asked again."""
        while True:
            await asyncio.sleep(self._rules.duration_s / 3)
            try:
                await self.renew()
            except LeaseLostError:
                return
            except (HubError, HubUnreachableError):
                continue

    async def _find(self) -> JsonObject | None:
        try:
            return await self._service.get_configuration(self._id)
        except HubError as error:
            if error.status == GONE:
                return None
            raise

    def _free(self, found: JsonObject) -> bool:
        labels = found.get("labels") or {}
        return labels.get(LEASE) == self._token or _time(labels.get(EXPIRES, "")) <= self._rules.clock.now()

    async def _put(self, etag: str | None) -> None:
        until = self._rules.clock.now() + self._rules.duration_s
        body = {
            "schemaVersion": "2.0",
            "labels": {**self._labels, EXPIRES: iso(until)},
            "priority": 0,
            "targetCondition": "",
            "content": CONTENT,
        }
        self._etag = (await self._service.put_configuration(self._id, body, etag=etag))["etag"]
        self._until = until

    def _held(self, found: JsonObject) -> LeaseHeldError:
        labels = found.get("labels") or {}
        expires = str(labels.get(EXPIRES, "soon"))[:19].replace("T", " ")
        return LeaseHeldError(self._what, str(labels.get(HOLDER, "somebody")), expires)

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(
            f"the lease on {self._what} has run out or was taken: nothing more is changed; run the command again"
        )


@contextlib.asynccontextmanager
async def leased(lease: Lease) -> AsyncIterator[Lease]:
    """Hold a lease, renewed, for as long as the block runs."""
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    try:
        yield lease
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        with contextlib.suppress(HubUnreachableError):
            await lease.release()


def _time(text: str) -> float:
    """A label that is no time has run out."""
    try:
        return from_iso(text)
    except InputError:
        return 0.0
