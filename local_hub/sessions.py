"""Which devices and modules are connected now, one link each.

A second link of the same identity takes over: the first is closed (IoT Hub documentation, "Communicate with IoT Hub
using the MQTT protocol": one connection per device). Everything here runs on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from iot_core.identity import Identity
from iot_core.json_types import JsonObject

__all__ = ["DeviceLink", "LinkClosedError", "SessionWatcher", "Sessions"]


class LinkClosedError(EdgeyardError):
    """Raised by a link's ``call_method`` when the connection went before the device answered."""


class DeviceLink(Protocol):
    """One device's connection, as a front offers it to the core."""

    @property
    def accepts_methods(self) -> bool:
        """Whether the device has asked for direct methods."""

    def push_desired(self, patch: JsonObject) -> None:
        """Send a desired patch, ``$version`` in it; dropped when the device has not asked for patches. Never waits."""

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        """Send a direct method and wait for the device's status and payload; LinkClosedError when the link goes
        first.
        """

    def close(self, reason: str) -> None:
        """End the connection; its ``detach`` may come later or never."""


class _Passing:
    """A connection that asks for nothing."""

    accepts_methods = False

    def push_desired(self, patch: JsonObject) -> None:
        """Nobody listens."""

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        raise LinkClosedError("nobody answers")

    def close(self, reason: str) -> None:
        """It goes by itself."""


# Called on each change: identity, connected, unix seconds of the change, unix seconds of the last activity.
SessionWatcher = Callable[[Identity, bool, float, float], None]


class Sessions:
    """The table of links; ``watcher`` hears of every connect and disconnect, not of takeovers."""

    def __init__(self, clock: Clock, watcher: SessionWatcher) -> None:
        self._clock = clock
        self._watcher = watcher
        self._links: dict[Identity, DeviceLink] = {}
        self._activity: dict[Identity, float] = {}

    @property
    def connected_count(self) -> int:
        """Connected devices; modules do not count."""
        return sum(identity.module_id is None for identity in self._links)

    def attach(self, identity: Identity, link: DeviceLink) -> None:
        """Make ``link`` the identity's connection and close the one it had."""
        previous = self._links.get(identity)
        self._links[identity] = link
        self.touch(identity)
        if previous is None:
            self._tell(identity, connected=True)
        elif previous is not link:
            previous.close("another connection of the same identity took over")

    def detach(self, identity: Identity, link: DeviceLink) -> None:
        """Forget ``link``; nothing happens when another has taken over since."""
        if self._links.get(identity) is not link:
            return
        self._tell(identity, connected=False)
        del self._links[identity]
        self._activity.pop(identity, None)

    def get(self, identity: Identity) -> DeviceLink | None:
        """The identity's link; None while it is not connected."""
        return self._links.get(identity)

    def touch(self, identity: Identity) -> None:
        """Note that a connected identity did something now."""
        if identity in self._links:
            self._activity[identity] = self._clock.now()

    def last_activity(self, identity: Identity) -> float | None:
        """Unix seconds of what a connected identity did last; None while it is not connected."""
        return self._activity.get(identity)

    def of_device(self, device_id: str | None) -> list[Identity]:
        """The connected identities of one device and its modules, or with None all."""
        return [identity for identity in self._links if device_id in (None, identity.device_id)]

    def take_over(self, identity: Identity) -> None:
        """End the identity's link as another connection does that takes over and soon goes."""
        link = _Passing()
        self.attach(identity, link)
        self.detach(identity, link)

    def end(self, identity: Identity, reason: str) -> None:
        """Close and forget the identity's link, if it has one."""
        link = self._links.get(identity)
        if link is not None:
            link.close(reason)
            self.detach(identity, link)

    def end_all(self, reason: str) -> None:
        """Close and forget every link."""
        for identity in list(self._links):
            self.end(identity, reason)

    def _tell(self, identity: Identity, *, connected: bool) -> None:
        now = self._clock.now()
        self._watcher(identity, connected, now, self._activity.get(identity, now))
