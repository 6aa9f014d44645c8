"""The AMQP front, imported with its first connection: its engine takes a tenth of the time of starting a hub."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from local_hub.hub import Hub

if TYPE_CHECKING:
    from local_hub.fronts.amqp import AmqpFront

__all__ = ["DeferredAmqp", "import_deferred"]


class DeferredAmqp:
    """Stands for ``local_hub.fronts.amqp.AmqpFront``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._front: AmqpFront | None = None

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        if self._front is None:
            from local_hub.fronts.amqp import AmqpFront

            self._front = AmqpFront(self._hub)
        return self._front.protocol()

    async def stop(self) -> None:
        """End every connection; returns once what they had sent is taken."""
        if self._front is not None:
            await self._front.stop()


async def import_deferred() -> None:
    """Import, beside other work, what the first client of a kind would have to wait for."""
    for name in ("local_hub.fronts.amqp", "local_hub.blobs.endpoint"):
        await asyncio.to_thread(import_module, name)
