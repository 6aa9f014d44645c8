"""Tokens of an AMQP connection that lasts longer than they do.

A hub ends the links that a token let in when it is over, unless another has been put for the same audience before
(claims-based security; IoT Hub documentation, "Control access to IoT Hub by using shared access signatures").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from types import TracebackType

from iot_core.clock import Clock, SystemClock
from iot_core.sas import without_secrets
from transport.amqp_client import AmqpClient, AmqpError
from transport.waiting import until_time

__all__ = ["TokenKeeper"]

LIFETIME_S = 3600
RENEW_BEFORE_S = 300
"""A new token is put this long before the old one ends; one that is refused is tried again until then."""
RETRY_S = 30

_log = logging.getLogger(__name__)


class TokenKeeper:
    """Puts a token for an audience when it is entered and new ones until it is left.

    ``sign`` makes one that ends at a time (unix seconds). AmqpError when the first is refused; when later ones are, the
    hub ends the links, and whoever uses them hears of it.
    """

    def __init__(
        self, client: AmqpClient, audience: str, sign: Callable[[int], str], clock: Clock | None = None
    ) -> None:
        self._client = client
        self._audience = audience
        self._sign = sign
        self._clock = clock or SystemClock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TokenKeeper:
        expiry = await self._put()
        self._task = asyncio.create_task(self._run(expiry), name=f"tokens for {self._audience}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _put(self) -> int:
        """When the new token ends."""
        expiry = int(self._clock.now()) + LIFETIME_S
        await self._client.put_token(self._audience, self._sign(expiry))
        return expiry

    async def _run(self, expiry: int) -> None:
        renewal = float(expiry - RENEW_BEFORE_S)
        while True:
            await until_time(self._clock, renewal)
            try:
                renewal = float(await self._put() - RENEW_BEFORE_S)
            except (AmqpError, TimeoutError) as error:
                _log.warning("a new token for %s was not taken: %s", self._audience, without_secrets(str(error)))
                if self._client.is_over:
                    return
                renewal = self._clock.now() + RETRY_S
