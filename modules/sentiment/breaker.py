"""The circuit breaker in front of the container.

    closed     requests go out; after `failures` in a row it opens
    open       none go out until the pause is over, then it is half open
    half open  one request goes out: success closes, failure opens for twice as long

The pause begins at the setting, doubles up to LONGEST_PAUSE_S, and is never shorter than what the container asked for
(Retry-After).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from iot_core.clock import Clock

__all__ = ["Breaker", "State"]

LONGEST_PAUSE_S = 60.0  # a container that is back is found again within a minute


class State(StrEnum):
    """As reported and in metrics."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "halfOpen"


class Breaker:
    """`failures()` and `pause_s()` give the settings in force; `changed` is called with every new state."""

    def __init__(
        self,
        clock: Clock,
        *,
        failures: Callable[[], int],
        pause_s: Callable[[], float],
        changed: Callable[[State], None] = lambda _state: None,
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._pause_s = pause_s
        self._changed = changed
        self._in_a_row = 0
        self._openings = 0
        self._until = 0.0
        self._free = asyncio.Event()
        self._free.set()
        self.state = State.CLOSED

    async def admission(self) -> None:
        """Return when a request may go out; `succeeded` or `failed` must follow."""
        while True:
            if self.state is State.CLOSED:
                return
            if self.state is State.OPEN:
                await self._sleep(self._until - self._clock.monotonic())
                if self.state is State.OPEN and self._clock.monotonic() >= self._until:
                    self._enter(State.HALF_OPEN)
                    return
            else:  # Half open: another's request is under way.
                self._free.clear()
                await self._free.wait()

    def succeeded(self) -> None:
        """The container answered."""
        self._in_a_row = self._openings = 0
        self._enter(State.CLOSED)

    def failed(self, retry_after_s: float = 0.0) -> None:
        """The container did not answer, or said that it cannot now."""
        self._in_a_row += 1
        if self.state is State.HALF_OPEN or (self.state is State.CLOSED and self._in_a_row >= self._failures()):
            pause = min(self._pause_s() * 2.0 ** min(self._openings, 10), max(LONGEST_PAUSE_S, self._pause_s()))
            self._openings += 1
            self._until = self._clock.monotonic() + max(pause, retry_after_s)
            self._enter(State.OPEN)

    def reset(self) -> None:
        """Another container is to be asked: what was learnt of the old one is void."""
        self.succeeded()

    def released(self) -> None:
        """The request that was admitted was given up, without an answer either way."""
        if self.state is State.HALF_OPEN:
            self._until = self._clock.monotonic()
            self._enter(State.OPEN)

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until the state changes."""
        self._free.clear()
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._free.wait()
        except TimeoutError:
            return

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._changed(state)
        self._free.set()
