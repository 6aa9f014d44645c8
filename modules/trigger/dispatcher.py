"""Deliveries from the outbox to their targets: retried with back-off, parked in the end.

Every lane (a rule and an action) has a task of its own while something waits in it, so a slow target holds up nobody
else. Within a lane a few deliveries are under way at once; their order is kept only as long as nothing fails.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from modules.common.alarm import Alarm
from modules.trigger.errors import DeliveryFailedError, DeliveryRefusedError
from modules.trigger.outbox import Delivery, Lane, Outbox

__all__ = ["Dispatcher", "Outcomes", "RetryPolicy"]

PARALLEL = 4
"""Deliveries of one lane at once: enough to keep up with a target some milliseconds away, gentle to a weak one."""
LEAST_JITTER = 0.5
"""A wait is between this part of the computed one and all of it, so that retries do not come all at once."""
STORE_PAUSE_S = 5.0
"""After the disk refused: a full disk is not tried a thousand times a second."""

log = structlog.get_logger("trigger.deliveries")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often, and after how many seconds."""

    max_attempts: int
    first_s: float
    longest_s: float

    def wait_s(self, attempts: int, jitter: float) -> float:
        """After `attempts` failures (1 is the first); doubles each time. `jitter` from 0 to 1."""
        doubled = min(self.first_s * 2.0 ** min(attempts - 1, 30), self.longest_s)
        return doubled * (LEAST_JITTER + (1 - LEAST_JITTER) * jitter)


class Outcomes(Protocol):
    """Told what became of every attempt."""

    def attempted(self, lane: Lane, outcome: str, seconds: float) -> None:
        """`outcome` is "delivered", "retried" or "parked"."""

    def discarded(self, count: int) -> None:
        """So many of the oldest parked deliveries were dropped for want of room."""


class Dispatcher:
    """Carries out what the outbox holds, until closed; `run` raises DeliveryError unless it did it."""

    def __init__(
        self,
        outbox: Outbox,
        run: Callable[[Delivery], Awaitable[None]],
        *,
        policy: Callable[[], RetryPolicy],
        outcomes: Outcomes,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._run = run
        self._policy = policy
        self._outcomes = outcomes
        self._clock = clock
        self._jitter = jitter
        self._lanes: dict[Lane, tuple[asyncio.Task[None], Alarm]] = {}
        self._closing = False

    def start(self) -> None:
        """Take up what an earlier run left."""
        for lane in self._outbox.lanes():
            self.wake(lane)

    def wake(self, lane: Lane) -> None:
        """Something new waits in the lane."""
        if self._closing:
            return
        if lane not in self._lanes:
            alarm = Alarm(self._clock)
            self._lanes[lane] = asyncio.create_task(self._drive(lane, alarm), name=f"lane {lane}"), alarm
        self._lanes[lane][1].ring()

    async def close(self, patience_s: float) -> None:
        """Begin nothing new; attempts under way may take `patience_s`, then they are cut off and come again later."""
        self._closing = True
        for _, alarm in self._lanes.values():
            alarm.ring()
        tasks = [task for task, _ in self._lanes.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(self, lane: Lane, alarm: Alarm) -> None:
        """Work until the lane is empty; the next delivery in it makes a new task."""
        try:
            while not self._closing and (due := self._outbox.next_due(lane)) is not None:
                if due > self._clock.now():
                    await alarm.until(due)
                    continue
                batch = self._outbox.next(lane, self._clock.now(), PARALLEL)
                await asyncio.gather(*(self._attempt(delivery) for delivery in batch))
        except EdgeyardError as error:
            log.error("deliveries cannot be read", reason=str(error), rule=lane.rule, action=lane.action)
        finally:
            alarm.close()
            del self._lanes[lane]

    async def _attempt(self, delivery: Delivery) -> None:
        begun = self._clock.monotonic()
        try:
            outcome = await self._tried(delivery)
        except EdgeyardError as error:
            log.error("what became of a delivery was not noted", reason=str(error), firing=delivery.firing.id)
            await asyncio.sleep(STORE_PAUSE_S)
            return
        self._outcomes.attempted(delivery.lane, outcome, self._clock.monotonic() - begun)

    async def _tried(self, delivery: Delivery) -> str:
        """The outcome of one attempt, as it stands in the outbox now."""
        try:
            await self._run(delivery)
        except DeliveryRefusedError as error:
            return await self._park(delivery, str(error))
        except DeliveryFailedError as error:
            return await self._later(delivery, error)
        except Exception as error:
            log.exception("action failed", rule=delivery.lane.rule, action=delivery.lane.action)
            return await self._later(delivery, DeliveryFailedError(f"internal error {type(error).__name__}"))
        await self._outbox.done(delivery.number)
        return "delivered"

    async def _later(self, delivery: Delivery, error: DeliveryFailedError) -> str:
        policy = self._policy()
        attempts = delivery.attempts + int(error.counts)
        if attempts >= policy.max_attempts:
            return await self._park(delivery, str(error))
        wait_s = max(policy.wait_s(max(attempts, 1), self._jitter()), error.retry_after_s or 0.0)
        due = self._clock.now() + wait_s
        await self._outbox.failed(delivery.number, attempts=attempts, due=due, reason=str(error))
        _tell("action failed, tried again later", delivery, str(error), retry_in_s=round(wait_s, 1))
        return "retried"

    async def _park(self, delivery: Delivery, reason: str) -> str:
        now, attempts = self._clock.now(), delivery.attempts + 1
        if dropped := await self._outbox.park(delivery.number, attempts=attempts, now=now, reason=reason):
            self._outcomes.discarded(dropped)
        _tell("action given up and parked", delivery, reason)
        return "parked"


def _tell(event: str, delivery: Delivery, reason: str, **more: float) -> None:
    lane = delivery.lane
    log.warning(event, rule=lane.rule, action=lane.action, firing=delivery.firing.id, reason=reason, **more)
