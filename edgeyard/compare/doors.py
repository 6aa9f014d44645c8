"""The doors of a hub that a live scenario goes through: MQTT, AMQP and the built-in endpoint, beside HTTPS."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edgeyard.compare.steps import DEVICE_KEY
from hub_tools.monitor import watch
from hub_tools.replies import Reply
from iot_core import sas
from iot_core.amqp import ClientSasl
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.mqtt import Publish
from transport.amqp_client import AmqpClient
from transport.mqtt_client import MqttClient

__all__ = ["AskedHub", "Doors", "LiveDevice", "Side"]

WAIT_S = 60.0
"""For one thing that a hub sends."""
TOKEN_S = 3600
MQTTS_PORT, AMQPS_PORT = 8883, 5671
_API_VERSION = "2021-04-12"
_SASL = ClientSasl(mechanism="MSSBCBS")


class AskedHub(Protocol):
    """A hub that can be asked over HTTPS; `hub_tools.rest.RestHubService` is one."""

    @property
    def host_name(self) -> str:
        """The host, with the port when it is not 443."""
        ...

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        authorized: bool = True,
    ) -> Reply:
        """One attempt; the answer whatever its status. HubUnreachableError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two hubs; ``ca_file`` holds authorities to trust beside the system's."""

    rest: AskedHub
    connection_string: ConnectionString = field(repr=False)
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        return self.connection_string.host_name.partition(":")[0]


class LiveDevice:
    """A device on an MQTT connection, and what the hub has sent to it."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[Publish] = asyncio.Queue()
        self._ended = asyncio.Event()
        self.mqtt = MqttClient(on_message=self._received.put_nowait, on_disconnect=lambda _cause: self._ended.set())

    async def next(self) -> Publish:
        """What comes next; TimeoutError."""
        return await asyncio.wait_for(self._received.get(), WAIT_S)

    async def ended(self) -> None:
        """Returns when the hub has hung up; TimeoutError."""
        await asyncio.wait_for(self._ended.wait(), WAIT_S)


class Doors:
    """Opens the doors of one hub for one scenario; ``stack`` closes them."""

    def __init__(self, side: Side, prefix: str, stack: AsyncExitStack) -> None:
        self.side = side
        self.prefix = prefix
        self._stack = stack
        self._tls = ssl.create_default_context(cafile=str(side.ca_file) if side.ca_file else None)

    def identity(self, suffix: str, module_id: str | None = None) -> Identity:
        """A device of the probe, or a module on it."""
        return Identity(f"{self.prefix}-{suffix}", module_id)

    def token(self, identity: Identity, key: str = DEVICE_KEY) -> str:
        """A device's or module's token."""
        return sas.sign(identity.resource(self.side.host), key, int(time.time()) + TOKEN_S)

    async def rest(self, verb: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A request of the owner."""
        return await self.side.rest.exchange(verb, path, body, **options)

    async def make(self, suffix: str) -> Identity:
        """A device that logs in with DEVICE_KEY."""
        identity = self.identity(suffix)
        authentication = {"type": "sas", "symmetricKey": {"primaryKey": DEVICE_KEY, "secondaryKey": DEVICE_KEY}}
        body = {"deviceId": identity.device_id, "authentication": authentication}
        await self.rest("PUT", f"/devices/{identity.device_id}", body)
        return identity

    async def mqtt(self, identity: Identity, *, key: str = DEVICE_KEY, model_id: str = "") -> LiveDevice:
        """A device on MQTT, with a clean session; ConnectRefused, OSError."""
        device, path = LiveDevice(), identity.path
        model = f"&model-id={model_id}" if model_id else ""
        await device.mqtt.connect(
            self.side.host,
            MQTTS_PORT,
            client_id=path,
            username=f"{self.side.host}/{path}/?api-version={_API_VERSION}{model}",
            password=self.token(identity, key),
            clean_session=True,
            ssl=self._tls,
        )
        self._stack.push_async_callback(device.mqtt.close)
        return device

    async def amqp_device(self, identity: Identity) -> AmqpClient:
        """An AMQP connection of a device; AmqpError, OSError."""
        client = await self._amqp()
        await client.put_token(identity.resource(self.side.host), self.token(identity))
        return client

    async def amqp_service(self) -> AmqpClient:
        """An AMQP connection of the owner; AmqpError, OSError."""
        client = await self._amqp()
        await client.put_token(f"https://{self.side.host}", sas.token_for(self.side.connection_string, time.time()))
        return client

    async def events(self) -> AsyncIterator[JsonObject]:
        """What arrives at the built-in endpoint from now on; MonitorError."""
        return await self._stack.enter_async_context(watch(self.side.connection_string, ca_file=self.side.ca_file))

    async def _amqp(self) -> AmqpClient:
        client = await AmqpClient.connect(self.side.host, AMQPS_PORT, self._tls, sasl=_SASL)
        return await self._stack.enter_async_context(client)
