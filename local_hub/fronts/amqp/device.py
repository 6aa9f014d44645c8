"""A device or module that has links on an AMQP connection, as the core sees it: one connection like any other.

It is connected while it has a link, and its newest connection counts, over whatever protocol (IoT Hub documentation,
"Communicate with your IoT hub by using the AMQP protocol").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from iot_core.amqp import Link
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.auth.authenticator import Principal
from local_hub.sessions import LinkClosedError, Sessions

__all__ = ["AmqpDevice", "DesiredTaker", "MethodCaller"]


class MethodCaller(Protocol):
    """A link that direct methods leave on."""

    async def call(self, name: str, payload: bytes) -> tuple[int, bytes]:
        """The device's status and payload; LinkClosedError when it goes first."""


class DesiredTaker(Protocol):
    """A link that desired patches leave on."""

    def push(self, patch: JsonObject) -> None:
        """Send a patch, if the device has asked for them."""


class AmqpDevice:
    """A ``local_hub.sessions.DeviceLink``: the links of one identity on one connection. ``end_link`` detaches one."""

    def __init__(
        self, identity: Identity, principal: Principal, sessions: Sessions, end_link: Callable[[Link, HubError], None]
    ) -> None:
        self.identity = identity
        self.principal = principal
        self.links: set[Link] = set()
        self.callers: list[MethodCaller] = []
        self.takers: list[DesiredTaker] = []
        self._sessions = sessions
        self._end_link = end_link

    @property
    def accepts_methods(self) -> bool:
        return bool(self.callers)

    def push_desired(self, patch: JsonObject) -> None:
        for taker in self.takers:
            taker.push(patch)

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        if not self.callers:
            raise LinkClosedError(f"{self.identity} takes no methods any more")
        return await self.callers[-1].call(name, payload)

    def close(self, reason: str) -> None:
        """Detach all its links: another connection took over, or it may no longer be connected."""
        error = hub_error("LinkCreationConflict", f"The links of {self.identity} end: {reason}.")
        for link in list(self.links):
            self._end_link(link, error)

    def add(self, link: Link) -> None:
        """One more link; with the first one the identity is connected."""
        self.links.add(link)
        self._sessions.attach(self.identity, self)

    def remove(self, link: Link) -> None:
        """A link is over; with the last one the identity is disconnected."""
        self.links.discard(link)
        if not self.links:
            self._sessions.detach(self.identity, self)
