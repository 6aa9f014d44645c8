"""The trigger module put together: messages → rules → outbox → actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import structlog
from prometheus_client import CollectorRegistry
from pydantic import Field

from device.app import App
from device.client import HubClient
from iot_core.clock import Clock, SystemClock, iso
from iot_core.errors import StoreError
from iot_core.message import Message
from modules.common.alarm import Alarm
from modules.trigger.dispatcher import Dispatcher, RetryPolicy
from modules.trigger.engine import Change, Engine
from modules.trigger.errors import DeliveryRefusedError
from modules.trigger.events import Origin
from modules.trigger.metrics import TriggerMetrics
from modules.trigger.outbox import Delivery, Lane, Outbox, Parked, Selection
from modules.trigger.settings import TriggerSettings
from modules.trigger.targets import Targets

__all__ = ["TriggerModule", "trigger_module"]

INPUTS = ("telemetry", "twinChanges")
REPORTED_PARKED = 5
"""The last ones that the twin shows; the direct method `parked` shows more."""
DRAIN_S = 1.0
"""For attempts under way, out of the 5 s that a stop may take; what is cut off is tried again after the next start."""
STORE_PAUSE_S = 5.0

log = structlog.get_logger("trigger")


class TriggerModule:
    """The application on any HubClient: inputs `telemetry` and `twinChanges`, direct methods `parked`, `retryParked`
    and `discardParked`. A message is done with once all that it fires is on disk."""

    def __init__(
        self,
        client: HubClient,
        outbox: Outbox,
        http: aiohttp.ClientSession,
        *,
        device: str,
        module: str,
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self.app = App(client, TriggerSettings, name="trigger")
        self._outbox = outbox
        self._identity = (device, module)
        self._clock = clock
        self._engine = Engine()
        self._alarm = Alarm(clock)
        self._next_due: float | None = None
        self._configured = asyncio.Event()
        self._metrics = TriggerMetrics(registry, outbox, self._engine)
        self._targets = Targets(client, self.app.send_to_output, http)
        self._dispatcher = Dispatcher(outbox, self._deliver, policy=self._policy, outcomes=self._metrics, clock=clock)
        self._register()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[App[TriggerSettings]]:
        """Fire by time and carry out actions while the block runs."""
        watch = asyncio.create_task(self._fire_in_time(), name="rules in time")
        try:
            yield self.app
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._dispatcher.close(DRAIN_S)
            self._alarm.close()

    def _register(self) -> None:
        for name in INPUTS:
            self.app.input(name)(self._taker(name))
        self.app.on_settings(self._apply)
        self.app.every_interval(self._report)
        self.app.method("parked")(self.parked)
        self.app.method("retryParked")(self.retry_parked)
        self.app.method("discardParked")(self.discard_parked)

    def _taker(self, name: str) -> Any:
        async def take(message: Message) -> None:
            await self._configured.wait()
            await self._record(self._engine.take(name, message, self._clock.now()))

        return take

    async def _apply(self, settings: TriggerSettings) -> None:
        """New rules; at the first time also what an earlier run left, since only now its rules are known."""
        forgotten = self._engine.configure(settings.rules)
        if not self._configured.is_set():
            forgotten += self._engine.restore(self._outbox.series())
            self._dispatcher.start()
            self._configured.set()
        if forgotten:
            await self._outbox.forget(forgotten)
        self._look_again()

    def _look_again(self) -> None:
        self._next_due = self._engine.next_due()
        self._alarm.ring()

    async def _fire_in_time(self) -> None:
        await self._configured.wait()
        while True:
            await self._alarm.until(self._next_due)
            if self._next_due is None or self._clock.now() < self._next_due:
                continue
            try:
                await self._record(self._engine.due(self._clock.now()))
            except StoreError as error:
                log.error("rules that are due are not recorded", reason=str(error))
                self.app.observer.failed(type(error).__name__)
                await asyncio.sleep(STORE_PAUSE_S)
            self._next_due = self._engine.next_due()

    async def _record(self, changes: list[Change]) -> None:
        """Make changes durable, then act on them; StoreError, and then nothing has changed."""
        if not changes:
            return
        try:
            overflow = await self._outbox.record(changes, self._clock.now())
        except StoreError:
            self._engine.undo(changes)
            raise
        if overflow.parked:
            self._metrics.discarded(overflow.discarded)
            log.error("too many deliveries wait", parked=overflow.parked, discarded=overflow.discarded)
        for change in changes:
            self._started(change)

    def _started(self, change: Change) -> None:
        if change.wakes_at is not None and (self._next_due is None or change.wakes_at < self._next_due):
            self._next_due = change.wakes_at
            self._alarm.ring()
        if change.firing is None:
            return
        self._metrics.fired(change.firing)
        log.info("fired", rule=change.firing.rule, key=change.firing.key, firing=change.firing.id)
        for action in change.actions:
            self._dispatcher.wake(Lane(rule=change.firing.rule, action=action))

    async def _deliver(self, delivery: Delivery) -> None:
        """By the action as it is set now, so that a corrected one counts for what waits."""
        settings = self.app.settings
        action = settings.actions.get(delivery.lane.action)
        if action is None:
            raise DeliveryRefusedError(f"there is no action {delivery.lane.action!r} any more")
        device, module = self._identity
        origin = Origin(device=device, module=module, event_type=settings.event_type)
        await self._targets.run(action, delivery.firing, origin)

    def _policy(self) -> RetryPolicy:
        settings = self.app.settings
        return RetryPolicy(
            max_attempts=settings.max_attempts, first_s=settings.first_retry, longest_s=settings.longest_retry
        )

    async def _report(self) -> None:
        waiting, parked = self._outbox.counts()
        self.app.report(
            {
                "firings": self._metrics.firings(),
                "deliveries": {"waiting": waiting, "parked": parked, **self._metrics.totals()},
                "parkedDeliveries": [_shown(one) for one in self._outbox.parked(REPORTED_PARKED)],
            }
        )

    async def parked(self, limit: Annotated[int, Field(ge=1, le=100)] = 20) -> dict[str, Any]:
        """The last parked deliveries, newest first, and how many there are in all."""
        return {"total": self._outbox.counts()[1], "parked": [_shown(one) for one in self._outbox.parked(limit)]}

    async def retry_parked(
        self, deliveries: list[int] | None = None, rule: str | None = None, action: str | None = None
    ) -> dict[str, int]:
        """Try parked deliveries again from the start: all, or those that match what is given."""
        lanes = await self._outbox.retry(_selection(deliveries, rule, action), self._clock.now())
        for lane in set(lanes):
            self._dispatcher.wake(lane)
        return {"retried": len(lanes)}

    async def discard_parked(
        self, deliveries: list[int] | None = None, rule: str | None = None, action: str | None = None
    ) -> dict[str, int]:
        """Forget parked deliveries: all, or those that match what is given."""
        return {"discarded": await self._outbox.discard(_selection(deliveries, rule, action))}


@asynccontextmanager
async def trigger_module(
    client: HubClient,
    folder: Path,
    *,
    device: str = "",
    module: str = "trigger",
    registry: CollectorRegistry | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[App[TriggerSettings]]:
    """The module at work on what `folder` holds; StoreError when that cannot be opened."""
    outbox = Outbox.open(folder)
    try:
        async with aiohttp.ClientSession(trust_env=True, headers={"User-Agent": "edgeyard-trigger"}) as http:
            made = TriggerModule(
                client,
                outbox,
                http,
                device=device,
                module=module,
                registry=registry or CollectorRegistry(),
                clock=clock or SystemClock(),
            )
            async with made.working() as app:
                yield app
    finally:
        await outbox.close()


def _selection(deliveries: list[int] | None, rule: str | None, action: str | None) -> Selection:
    return Selection(numbers=None if deliveries is None else tuple(deliveries), rule=rule, action=action)


def _shown(parked: Parked) -> dict[str, Any]:
    delivery = parked.delivery
    return {
        "delivery": delivery.number,
        "firing": delivery.firing.id,
        "rule": delivery.lane.rule,
        "action": delivery.lane.action,
        "key": delivery.firing.key,
        "firedAt": iso(delivery.firing.at),
        "parkedAt": iso(parked.at),
        "attempts": delivery.attempts,
        "reason": parked.reason,
    }
