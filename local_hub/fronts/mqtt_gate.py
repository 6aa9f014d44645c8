"""What one device publishes while faults or throttles stand: admitted one after another, in the order it came."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from iot_core.errors import HubError, MessageError
from iot_core.identity import Identity
from iot_core.mqtt import Publish
from iot_core.topics import Telemetry, TwinGet, TwinPatch, parse_device_topic
from local_hub.controls.admission import Admission
from local_hub.controls.faults import CutError, LostError
from local_hub.controls.throttles import Operation

__all__ = ["Gate"]

MOST_WAITING = 1000
"""Publishes of QoS 0; with QoS 1 the connection itself stops reading."""
_OPERATIONS = {
    Telemetry: Operation.DEVICE_TO_CLOUD,
    TwinGet: Operation.TWIN_READ,
    TwinPatch: Operation.TWIN_UPDATE,
}


class _Link(Protocol):
    """Where a publish goes from here."""

    @property
    def identity(self) -> Identity:
        """Whose link it is."""

    def take(self, publish: Publish) -> None:
        """It is admitted."""

    def lose(self, publish: Publish) -> None:
        """It vanishes."""

    def refuse(self, publish: Publish, error: HubError) -> None:
        """It is answered with an error."""

    def close(self, reason: str) -> None:
        """Hang up."""


class Gate:
    """See the module."""

    def __init__(self, admission: Admission, link: _Link) -> None:
        self._admission = admission
        self._link = link
        self._waiting: deque[Publish] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._task is None

    def stop(self) -> None:
        """Forget what waits: the connection is over."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def put(self, publish: Publish) -> None:
        """Admit a publish as soon as its turn comes."""
        if publish.qos == 0 and len(self._waiting) >= MOST_WAITING:
            self._link.lose(publish)
            return
        self._waiting.append(publish)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._admit(self._waiting.popleft())
        finally:
            self._task = None

    async def _admit(self, publish: Publish) -> None:
        try:
            operation = _OPERATIONS.get(type(parse_device_topic(publish.topic)))
            await self._admission.admit(self._link.identity.device_id, operation, len(publish.payload))
        except LostError:
            self._link.lose(publish)
        except CutError as error:
            self._link.close(str(error))
        except HubError as error:
            self._link.refuse(publish, error)
        except MessageError:
            # The link itself says what is wrong with it.
            self._link.take(publish)
        else:
            self._link.take(publish)
