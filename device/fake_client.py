"""A HubClient without a hub, for tests of devices and modules: it holds one twin, keeps what was sent, calls back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from device.client import ConnectionCallback, DesiredCallback, InputCallback, MethodAnswer, MethodCall, MethodCallback
from device.errors import NotConnectedError
from iot_core.message import Message
from iot_core.twin import merge_patch


class FakeHubClient:
    """`sent` holds (output or None, message); `patches` every reported patch; an error in `failures` is raised once.

    `called` holds the methods called on others (device, module, call); `answers` are given to them in turn, then 200.
    """

    def __init__(self, desired: dict[str, Any] | None = None) -> None:
        self.desired: dict[str, Any] = {"$version": 1, **(desired or {})}
        self.reported: dict[str, Any] = {"$version": 1}
        self.sent: list[tuple[str | None, Message]] = []
        self.patches: list[dict[str, Any]] = []
        self.called: list[tuple[str, str | None, MethodCall]] = []
        self.answers: list[MethodAnswer] = []
        self.failures: list[Exception] = []
        self.connects = 0
        self.connected = False
        self._news = asyncio.Condition()

    def on_desired(self, callback: DesiredCallback) -> None:
        self._desired = callback

    def on_method(self, callback: MethodCallback) -> None:
        self._method = callback

    def on_input(self, callback: InputCallback) -> None:
        self._input = callback

    def on_connection_state(self, callback: ConnectionCallback) -> None:
        self._connection = callback

    async def connect(self) -> None:
        self._fail_once()
        self.connects += 1
        self.connected = True
        await self._connection(True)
        await self._tell()

    async def disconnect(self) -> None:
        self.connected = False
        await self._tell()

    async def get_twin(self) -> dict[str, Any]:
        self._need_connection()
        return {"desired": dict(self.desired), "reported": dict(self.reported)}

    async def update_reported(self, patch: dict[str, Any]) -> None:
        self._need_connection()
        self.reported = merge_patch(self.reported, patch)
        self.patches.append(patch)
        await self._tell()

    async def send(self, message: Message) -> None:
        await self._take(None, message)

    async def send_to_output(self, message: Message, output: str) -> None:
        await self._take(output, message)

    async def invoke_method(
        self, call: MethodCall, device_id: str, module_id: str | None = None, **times: int
    ) -> MethodAnswer:
        self._need_connection()
        self.called.append((device_id, module_id, call))
        await self._tell()
        return self.answers.pop(0) if self.answers else MethodAnswer(status=200)

    async def operator_sets(self, **patch: Any) -> None:
        """Change desired properties as a service would."""
        self.desired = merge_patch(self.desired, patch) | {"$version": self.desired["$version"] + 1}
        if self.connected:
            await self._desired({**patch, "$version": self.desired["$version"]})

    async def call(self, name: str, payload: Any = None) -> MethodAnswer:
        """Call a direct method."""
        return await self._method(MethodCall(name=name, payload=payload))

    async def deliver(self, name: str, message: Message) -> None:
        """Hand a message to an input."""
        await self._input(name, message)

    async def lose_connection(self) -> None:
        """As a network does."""
        self.connected = False
        await self._connection(False)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; looked at after everything that the application does here."""
        async with self._news:
            await self._news.wait_for(condition)

    async def _take(self, output: str | None, message: Message) -> None:
        self._need_connection()
        self.sent.append((output, message))
        await self._tell()

    def _need_connection(self) -> None:
        self._fail_once()
        if not self.connected:
            raise NotConnectedError("not connected to the fake hub")

    def _fail_once(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
