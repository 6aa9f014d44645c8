"""The seam between an application and a hub: what a device or module can do, whatever library does it.

Callbacks are set before `connect` and run on the event loop that called `connect`. Desired patches and inputs are
handed over in the order in which they came; a method call runs beside others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from iot_core.message import Message

Json = Any
METHOD_RESPONSE_S = 30
"""Seconds a called method may take ("Understand and invoke direct methods": the default)."""


@dataclass(frozen=True, kw_only=True)
class MethodCall:
    """A direct method call: its name and JSON payload (None when there is none)."""

    name: str
    payload: Json = None


@dataclass(frozen=True, kw_only=True)
class MethodAnswer:
    """The answer to a direct method call: a status of the device's own choosing (HTTP-like) and a JSON payload."""

    status: int
    payload: Json = None


DesiredCallback = Callable[[dict[str, Json]], Awaitable[None]]
MethodCallback = Callable[[MethodCall], Awaitable[MethodAnswer]]
InputCallback = Callable[[str, Message], Awaitable[None]]
ConnectionCallback = Callable[[bool], Awaitable[None]]


class HubClient(Protocol):
    """One device or module identity on a hub. Every call raises DeviceConnectionError or a subclass (device.errors)."""

    async def connect(self) -> None:
        """Connect and subscribe to everything that has a callback; may be called again after `disconnect`."""

    async def disconnect(self) -> None:
        """Close the connection and free what it holds. Never raises; doing it twice is fine."""

    async def get_twin(self) -> dict[str, Json]:
        """The device's view of its twin: {"desired": {..., "$version"}, "reported": {..., "$version"}}."""

    async def update_reported(self, patch: dict[str, Json]) -> None:
        """Merge `patch` into the reported properties (None deletes); returns when the hub has acknowledged it."""

    async def send(self, message: Message) -> None:
        """Send telemetry, at least once; returns when the hub has acknowledged it."""

    async def send_to_output(self, message: Message, output: str) -> None:
        """Send to a module's output, at least once; HubRefusedError on a device."""

    async def invoke_method(
        self,
        call: MethodCall,
        device_id: str,
        module_id: str | None = None,
        *,
        response_timeout_s: int = METHOD_RESPONSE_S,
        connect_timeout_s: int = 0,
    ) -> MethodAnswer:
        """Call a direct method of a device or module on the same edge (modules only); the method's own answer.

        `connect_timeout_s` is how long the edge hub waits for the target to be connected. HubRefusedError when the
        edge hub knows no such target, it is not connected, or it does not answer in time.
        """

    def on_desired(self, callback: DesiredCallback) -> None:
        """Called with every desired patch, "$version" included."""

    def on_method(self, callback: MethodCallback) -> None:
        """Called with every direct method call; what it returns is sent back."""

    def on_input(self, callback: InputCallback) -> None:
        """Called with the input's name and every message that is routed to it (modules only). The message counts as
        received when the callback returns; where it raises, the hub sends it again after a while."""

    def on_connection_state(self, callback: ConnectionCallback) -> None:
        """Called with True after every connect and reconnect, with False when the connection is lost."""
