"""Brings what waits in a queue to the connections that take it as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from iot_core.errors import EdgeyardError

__all__ = ["Pump", "Receiver"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_log = logging.getLogger(__name__)


class Receiver(Protocol[T_contra]):
    """A connection, or a link in one, that takes messages."""

    @property
    def credit(self) -> int:
        """How many more it takes now; ``Pump.wake`` tells of more."""

    def deliver(self, item: T_contra) -> None:
        """Send one on; never waits. Settling it is the receiver's business from now on."""


class Pump(Generic[T]):
    """One queue's receivers; those that have credit take turns.

    ``fetch`` locks up to so many messages, in order; ``give_back`` gets those whose receiver went meanwhile.
    """

    def __init__(
        self, fetch: Callable[[int], Awaitable[Sequence[T]]], give_back: Callable[[Sequence[T]], None]
    ) -> None:
        self._fetch = fetch
        self._give_back = give_back
        self._receivers: list[Receiver[T]] = []
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether it has no receivers and nothing to do."""
        return not self._receivers and self._task is None

    def attach(self, receiver: Receiver[T]) -> None:
        """Add a receiver, once, and bring it what waits."""
        if receiver not in self._receivers:
            self._receivers.append(receiver)
        self.wake()

    def detach(self, receiver: Receiver[T]) -> None:
        """Take a receiver away; nothing happens when it is not there."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def wake(self) -> None:
        """Look again: a message became free, or a receiver has more credit."""
        self._asked = True
        if self._task is None and self._receivers:
            self._task = asyncio.create_task(self._run())

    async def settled(self) -> None:
        """Wait for the work that goes on."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while self._asked and self._receivers:
                self._asked = False
                while (receiver := self._next()) and (items := await self._fetch(receiver.credit)):
                    self._hand_over(receiver, items)
        except EdgeyardError:
            _log.exception("messages wait: they could not be taken from their queue")
        finally:
            self._task = None

    def _next(self) -> Receiver[T] | None:
        return next((receiver for receiver in self._receivers if receiver.credit > 0), None)

    def _hand_over(self, receiver: Receiver[T], items: Sequence[T]) -> None:
        if receiver not in self._receivers:
            self._give_back(items)
            return
        for item in items:
            receiver.deliver(item)
        self._receivers.remove(receiver)
        self._receivers.append(receiver)
