"""Cloud-to-device messages: sent by services, kept on disk, taken by devices, and the feedback on them.

Source: IoT Hub developer guide, "Send cloud-to-device messages". Each device has a queue in the order of sending, at
most 50 messages deep. Every call returns once its effect is on disk; a message is handed out only after its lock is.
Delivery is at least once: what a receiver did not settle comes again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from iot_core.c2d import Event
from iot_core.clock import Clock
from iot_core.errors import EdgeyardError, HubError
from iot_core.message import Message
from local_hub.alarm import Alarm
from local_hub.c2d.feedback import Feedback
from local_hub.c2d.messages import Delivery, FeedbackBatch, Sent, checked
from local_hub.c2d.options import C2dOptions
from local_hub.c2d.rows import C2dRows, C2dTransaction, depths
from local_hub.pump import Pump, Receiver
from transport.store import Store

__all__ = ["CloudToDevice", "Delivery", "Feedback", "FeedbackBatch", "Receiver", "Sent"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done(Generic[T]):
    """A committed transaction: its result, and what follows from it."""

    result: T
    depths: Mapping[str, int]
    free: frozenset[str]
    deadline: float | None
    feedback_waits: bool


class CloudToDevice:
    """The queues of all devices; ``start`` before anything else.

    ``depths`` has, by a device's generation id, how many of its messages have not ended; devices without any are not
    in it. It may be read from any thread.
    """

    def __init__(self, store: Store, clock: Clock, options: C2dOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._rows = C2dRows(options)
        self._alarm = Alarm(clock, self._clock_ran)
        self._pumps: dict[str, Pump[Delivery]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.depths: dict[str, int] = {}
        self.feedback = Feedback(self._commit)

    async def start(self) -> None:
        """Free what connections of an earlier run had locked, and end what ran out meanwhile."""
        await self._store.write(self._release_connected)
        self.depths.update(self._store.read(depths))
        self._alarm.start()
        await self._commit(lambda _transaction: None)

    async def stop(self) -> None:
        """Finish what has begun; receivers must be gone by now."""
        await self._alarm.stop()
        for pump in self._pumps.values():
            await pump.settled()
        await self.feedback.settled()
        await asyncio.gather(*self._background)

    async def send(self, device_id: str, message: Message) -> Sent:
        """Put a message at the end of the device's queue.

        ``message.system`` may have messageId, correlationId, userId, expiry (ISO 8601), contentType and
        contentEncoding; ``to`` is set by the hub; ``message.properties["iothub-ack"]`` asks for feedback. HubError
        DeviceNotFound, DeviceMaximumQueueDepthExceeded, MessageTooLarge, InvalidMessageExpiryTime, ArgumentInvalid.
        """
        outgoing = checked(device_id, message, now=self._clock.now(), default_ttl_s=self._options.default_ttl_s)
        return await self._commit(lambda transaction: transaction.send(device_id, outgoing))

    async def receive(self, device_id: str) -> Delivery | None:
        """Lock the oldest free message for 60 seconds; None when there is none.

        This lock outlives a restart of the hub.
        """
        found = await self._commit(lambda transaction: transaction.receive(device_id, 1, connected=False))
        return found[0] if found else None

    async def complete(self, device_id: str, lock_token: str) -> None:
        """The device has the message; HubError DeviceMessageLockLost."""
        await self._settle(device_id, lock_token, Event.COMPLETE)

    def complete_soon(self, device_id: str, lock_token: str) -> None:
        """``complete`` for who cannot wait; a lock that is lost is passed over, as the message comes again."""
        self._spawn(self._complete_quietly(device_id, lock_token))

    async def reject(self, device_id: str, lock_token: str) -> None:
        """The message cannot be used and is dead-lettered; HubError DeviceMessageLockLost."""
        await self._settle(device_id, lock_token, Event.REJECT)

    async def abandon(self, device_id: str, lock_token: str) -> None:
        """Put the message back to be delivered again, which counts; HubError DeviceMessageLockLost."""
        await self._settle(device_id, lock_token, Event.ABANDON)

    def release(self, device_id: str, lock_tokens: Iterable[str]) -> None:
        """Put messages back that a connection held when it went, which does not count; never waits, never raises."""
        tokens = tuple(lock_tokens)
        if tokens:
            self._spawn(self._release(device_id, tokens))

    async def purge(self, device_id: str) -> int:
        """End all the device's messages; how many there were. HubError DeviceNotFound."""
        return await self._commit(lambda transaction: transaction.purge(device_id))

    def attach(self, device_id: str, receiver: Receiver[Delivery]) -> None:
        """Bring the device's messages to ``receiver`` as they come, those that wait first, as far as its credit goes.

        Their locks last 60 seconds and no longer than this run of the hub; ``release`` frees them before.
        """
        pump = self._pumps.get(device_id)
        if pump is None:
            pump = self._pumps[device_id] = self._new_pump(device_id)
        pump.attach(receiver)

    def detach(self, device_id: str, receiver: Receiver[Delivery]) -> None:
        """Bring it no more; nothing happens when it is not attached."""
        pump = self._pumps.get(device_id)
        if pump is not None:
            pump.detach(receiver)
            if pump.idle:
                del self._pumps[device_id]

    def wake(self, device_id: str) -> None:
        """A receiver of the device has more credit."""
        if pump := self._pumps.get(device_id):
            pump.wake()

    async def brought(self, device_id: str) -> None:
        """Return once receivers have been brought what is there, as far as their credit goes."""
        if pump := self._pumps.get(device_id):
            await pump.settled()

    def _new_pump(self, device_id: str) -> Pump[Delivery]:
        async def fetch(most: int) -> Sequence[Delivery]:
            return await self._commit(lambda transaction: transaction.receive(device_id, most, connected=True))

        def give_back(items: Sequence[Delivery]) -> None:
            self.release(device_id, [item.lock_token for item in items])

        return Pump(fetch, give_back)

    async def _settle(self, device_id: str, lock_token: str, event: Event) -> None:
        await self._commit(lambda transaction: transaction.settle(device_id, lock_token, event))

    async def _complete_quietly(self, device_id: str, lock_token: str) -> None:
        try:
            await self.complete(device_id, lock_token)
        except HubError as error:
            _log.info("%s: %s", device_id, error)
        except EdgeyardError:
            _log.exception("%s: an acknowledged message was not taken out of its queue", device_id)

    async def _release(self, device_id: str, lock_tokens: tuple[str, ...]) -> None:
        try:
            await self._commit(lambda transaction: transaction.release(device_id, lock_tokens))
        except EdgeyardError:
            _log.exception("%s: messages stay locked until their locks run out", device_id)

    async def _clock_ran(self) -> None:
        """End and free what ran out, by a transaction that has nothing else to do."""
        try:
            await self._commit(lambda _transaction: None)
        except EdgeyardError:
            _log.exception("cloud-to-device messages that ran out were not put right")

    async def _commit(self, work: Callable[[C2dTransaction], T]) -> T:
        """Run ``work`` as a transaction; once it is on disk, tell who waits. StoreError, and what ``work`` raises."""

        def in_store(connection: sqlite3.Connection) -> _Done[T]:
            transaction = C2dTransaction(connection, self._rows, self._clock.now())
            result = work(transaction)
            found, deadline, feedback_waits = transaction.finish()
            return _Done(
                result=result,
                depths=found,
                free=frozenset(transaction.free),
                deadline=deadline,
                feedback_waits=feedback_waits,
            )

        return (await self._store.write(in_store, after=self._announce)).result

    def _announce(self, done: _Done[Any]) -> None:
        for generation_id, depth in done.depths.items():
            if depth:
                self.depths[generation_id] = depth
            else:
                self.depths.pop(generation_id, None)
        self._alarm.set(done.deadline)
        for device_id in done.free:
            self.wake(device_id)
        if done.feedback_waits:
            self.feedback.pump.wake()

    def _release_connected(self, connection: sqlite3.Connection) -> None:
        self._rows.queue.release_connected(connection)
        self._rows.feedback.release_connected(connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
