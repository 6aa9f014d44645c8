"""The modules that are connected, and what is sent to them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from typing import Any

from iot_core.errors import EdgeyardError
from iot_core.identity import Identity
from iot_core.message import Message
from iot_core.mqtt import Publish
from iot_core.topics import Subscription, desired_patch, method_request, module_input
from local_edge.errors import EdgeError
from transport.mqtt_server import MqttServerProtocol

__all__ = ["ACK_TIMEOUT_S", "ClientGoneError", "Clients", "ModuleClient"]

ACK_TIMEOUT_S = 30.0
"""Seconds a module may take to acknowledge an input message (the edge hub's MessageAckTimeoutSecs)."""


class ClientGoneError(EdgeError):
    """The module disconnected, or did not acknowledge in time."""


class ModuleClient:
    """One connected module; `filters` are its subscriptions."""

    def __init__(self, identity: Identity, connection: MqttServerProtocol, filters: dict[str, Subscription]) -> None:
        self.identity = identity
        self.filters = filters
        self._connection = connection
        self._packet_ids = itertools.cycle(range(1, 65_536))
        self._method_ids = itertools.count(1)
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._calls: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._sending = asyncio.Lock()

    @property
    def module(self) -> str:
        return self.identity.module_id or ""

    def subscribed(self, subscription: Subscription) -> bool:
        return subscription in self.filters.values()

    async def deliver(self, input_name: str, message: Message) -> None:
        """Bring a message to an input and wait until the module has it; one at a time, over all its inputs.

        ClientGoneError when the module disconnects or stays silent; the message may have arrived all the same.
        """
        async with self._sending:
            packet_id = next(self._packet_ids)
            acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._unacknowledged[packet_id] = acknowledged
            topic = module_input(self.identity, input_name, message)
            try:
                self._connection.send(Publish(topic=topic, payload=message.body, qos=1, packet_id=packet_id))
                async with asyncio.timeout(ACK_TIMEOUT_S):
                    await acknowledged
            except TimeoutError:
                raise ClientGoneError(f"module {self.module} acknowledged nothing for {ACK_TIMEOUT_S:.0f} s") from None
            finally:
                del self._unacknowledged[packet_id]

    def push_desired(self, patch: dict[str, Any], version: int) -> None:
        """Send a desired patch, when the module wants to hear of those."""
        if self.subscribed(Subscription.DESIRED):
            body = json.dumps({**patch, "$version": version}).encode()
            packet_id = next(self._packet_ids)
            self._connection.send(Publish(topic=desired_patch(version), payload=body, qos=1, packet_id=packet_id))

    async def call(self, name: str, payload: bytes) -> tuple[int, bytes]:
        """Call a direct method and wait for its answer without limit; ClientGoneError when the module disconnects."""
        request_id = f"{next(self._method_ids):x}"
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._calls[request_id] = answer
        try:
            self._connection.send(Publish(topic=method_request(name, request_id), payload=payload))
            return await answer
        finally:
            del self._calls[request_id]

    def acknowledged(self, packet_id: int) -> None:
        future = self._unacknowledged.get(packet_id)
        if future is not None and not future.done():
            future.set_result(None)

    def answered(self, request_id: str, status: int, payload: bytes) -> None:
        future = self._calls.get(request_id)
        if future is not None and not future.done():
            future.set_result((status, payload))

    def send(self, packet: Publish) -> None:
        self._connection.send(packet)

    def close(self, reason: str) -> None:
        self._connection.close(reason)

    def gone(self) -> None:
        """The connection is over: whoever waits on it hears so."""
        error: EdgeyardError = ClientGoneError(f"module {self.module} disconnected")
        waiting: list[asyncio.Future[Any]] = [*self._unacknowledged.values(), *self._calls.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)


class Clients:
    """The connected modules by name, with the means to wait for one."""

    def __init__(self) -> None:
        self._clients: dict[str, ModuleClient] = {}
        self._ready: defaultdict[tuple[str, Subscription], asyncio.Event] = defaultdict(asyncio.Event)

    def get(self, module: str) -> ModuleClient | None:
        return self._clients.get(module)

    @property
    def all(self) -> list[ModuleClient]:
        return list(self._clients.values())

    def attach(self, client: ModuleClient) -> ModuleClient | None:
        """Make `client` the one of its module; the one it replaces, if any."""
        previous = self._clients.get(client.module)
        self._clients[client.module] = client
        self.refresh(client.module)
        return previous

    def detach(self, client: ModuleClient) -> bool:
        """False when another connection of the module has taken its place already."""
        if self._clients.get(client.module) is not client:
            return False
        del self._clients[client.module]
        self.refresh(client.module)
        return True

    def refresh(self, module: str) -> None:
        """The subscriptions of `module` may have changed."""
        client = self._clients.get(module)
        for subscription in Subscription:
            event = self._ready[module, subscription]
            if client is not None and client.subscribed(subscription):
                event.set()
            else:
                event.clear()

    async def ready(self, module: str, subscription: Subscription) -> ModuleClient:
        """Wait for `module` to be connected and subscribed."""
        while True:
            await self._ready[module, subscription].wait()
            client = self._clients.get(module)
            if client is not None:
                return client
