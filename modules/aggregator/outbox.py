"""The emissions that the edge hub has not acknowledged yet, in the order they were made."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from modules.aggregator.results import Emission

__all__ = ["MAX_BYTES", "Outbox"]

MAX_BYTES = 64 * 1024 * 1024
"""Of bodies. When more wait because the edge hub is away, no more messages are taken until it is back."""


class Outbox:
    """`put` at one end, `next` at the other; what `next` gave stays until `done`."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._pending: dict[str, Emission] = {}
        self._queue: asyncio.Queue[Emission] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def has_room(self) -> bool:
        """Whether it holds less than its limit."""
        return self._room.is_set()

    def ids(self) -> Collection[str]:
        """Ids of what it holds."""
        return set(self._pending)

    def put(self, emissions: Iterable[Emission]) -> None:
        """Add; an id that it holds already is not added again."""
        for emission in emissions:
            if emission.id not in self._pending:
                self._pending[emission.id] = emission
                self._queue.put_nowait(emission)
                self._bytes += len(emission.body)
        if self._bytes >= self._max_bytes:
            self._room.clear()

    async def next(self) -> Emission:
        """The next that was not given out."""
        return await self._queue.get()

    def done(self, emission: Emission) -> None:
        """It was acknowledged, or can never be."""
        del self._pending[emission.id]
        self._bytes -= len(emission.body)
        if self._bytes < self._max_bytes:
            self._room.set()

    async def room(self) -> None:
        """Wait until it holds less than its limit."""
        await self._room.wait()

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [emission.dump() for emission in self._pending.values()]

    @staticmethod
    def load(state: Sequence[Any]) -> list[Emission]:
        """The emissions that `dump` wrote."""
        return [Emission.load(one) for one in state]
