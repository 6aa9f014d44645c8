"""Watch what arrives at a hub's built-in endpoint, on any hub, from its connection string alone.

The hub itself says where its endpoint is: it answers a link to ``messages/events`` with a redirect (IoT Hub
documentation, "Read device-to-cloud messages from the built-in endpoint"). Partitions are read without an owner level,
so nobody else's reader is ever taken over.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from iot_core import amqp, sas
from iot_core.amqp import ACCEPTED, AmqpValue, ClientSasl
from iot_core.amqp.types import Array, Described, Symbol
from iot_core.amqp_messages import body_bytes, from_amqp
from iot_core.clock import Clock, iso
from iot_core.connection_string import ConnectionString
from iot_core.errors import EdgeyardError, InputError
from iot_core.json_types import JsonObject
from transport.amqp_client import AmqpClient, AmqpError, AmqpReceiver
from transport.amqp_tokens import TokenKeeper

__all__ = ["DEFAULT_GROUP", "OWN_GROUP", "MonitorError", "NoConsumerGroupError", "event_document", "watch"]

AMQPS_PORT = 5671
OWN_GROUP, DEFAULT_GROUP = "edgeyard", "$Default"
CREDIT = 300
QUEUE = 1000
"""Events that wait to be looked at; then their partitions are read no further."""
_SASL = ClientSasl(mechanism="MSSBCBS")
_SELECTOR = Symbol("apache.org:selector-filter:string")


class MonitorError(EdgeyardError):
    """The endpoint cannot be read."""


class NoConsumerGroupError(MonitorError):
    """There is no such consumer group."""


@dataclass(frozen=True, kw_only=True)
class _Endpoint:
    """Where the events are."""

    host: str
    port: int
    name: str

    @property
    def audience(self) -> str:
        return f"sb://{self.host}/{self.name}"


@asynccontextmanager
async def watch(
    connection_string: ConnectionString,
    *,
    ca_file: Path | None = None,
    group: str = DEFAULT_GROUP,
    since: float | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[AsyncIterator[JsonObject]]:
    """Events as ``event_document`` gives them, from now on or from ``since`` (unix seconds), for as long as is wanted:
    tokens are renewed, by ``clock``.

    They are asked for when the context is entered, so whatever is sent afterwards is seen. InputError for a connection
    string without a policy; NoConsumerGroupError, MonitorError.
    """
    if not (connection_string.shared_access_key_name and connection_string.shared_access_key):
        raise InputError("watching needs the connection string of a policy: SharedAccessKeyName and SharedAccessKey")
    tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    async with AsyncExitStack() as stack:
        try:
            endpoint = await _find(connection_string, tls)
            client = await stack.enter_async_context(
                await AmqpClient.connect(endpoint.host, endpoint.port, tls, sasl=_SASL)
            )
            sign = partial(_eventhub_token, connection_string, endpoint)
            await stack.enter_async_context(TokenKeeper(client, endpoint.audience, sign, clock))
            receivers = [
                await _receiver(client, endpoint, group, partition, since)
                for partition in await _partitions(client, endpoint)
            ]
        except (OSError, TimeoutError) as error:
            raise MonitorError(f"{connection_string.host_name} cannot be reached by AMQP: {error}") from error
        except AmqpError as error:
            raise _explained(error, group) from error
        queue: asyncio.Queue[JsonObject | AmqpError] = asyncio.Queue(QUEUE)
        for receiver in receivers:
            task = asyncio.create_task(_pass_on(receiver, queue))
            stack.callback(task.cancel)
        yield _events(queue)


def event_document(message: amqp.Message) -> JsonObject:
    """An event in the shape of ``edgeyard hub trace``: time, source, deviceId, moduleId, properties, systemProperties
    and body (a JSON value, text, or ``{"base64": …}``).
    """
    annotations: Mapping[Any, Any] = message.message_annotations or {}
    read = from_amqp(message)
    document: JsonObject = {
        "time": iso(int(annotations.get("x-opt-enqueued-time", 0)) / 1000),
        "source": annotations.get("iothub-message-source", ""),
        "deviceId": annotations.get("iothub-connection-device-id", ""),
    }
    if module := annotations.get("iothub-connection-module-id"):
        document["moduleId"] = module
    document["properties"] = read.properties
    document["systemProperties"] = read.system
    document["body"] = _body(body_bytes(message), read.system)
    return document


async def _find(connection_string: ConnectionString, tls: ssl.SSLContext) -> _Endpoint:
    """Where the hub sends who asks for its events; AmqpError, MonitorError."""
    host = connection_string.host_name.partition(":")[0]
    async with await AmqpClient.connect(host, AMQPS_PORT, tls, sasl=_SASL) as client:
        await client.put_token(f"https://{host}", sas.token_for(connection_string, time.time()))
        try:
            await client.receiver("/messages/events/$management", credit=0)
        except AmqpError as error:
            if error.condition != amqp.errors.LINK_REDIRECT:
                raise
            return _endpoint_in(error.info)
    raise MonitorError(f"{host} does not say where its events are")


def _endpoint_in(info: Mapping[Any, Any]) -> _Endpoint:
    address = urlsplit(str(info.get("address", "")))
    name = address.path.strip("/").partition("/")[0]
    host = str(info.get("network-host") or info.get("hostname") or address.hostname or "")
    if not (host and name):
        raise MonitorError("the hub's redirect does not say where its events are")
    return _Endpoint(host=host, port=int(info.get("port") or AMQPS_PORT), name=name)


def _eventhub_token(connection_string: ConnectionString, endpoint: _Endpoint, expiry: int) -> str:
    """Event Hubs takes the text of the key for the key."""
    key = base64.b64encode((connection_string.shared_access_key or "").encode()).decode()
    return sas.sign(endpoint.audience, key, expiry, connection_string.shared_access_key_name)


async def _partitions(client: AmqpClient, endpoint: _Endpoint) -> list[str]:
    fields = {"operation": "READ", "type": "com.microsoft:eventhub", "name": endpoint.name}
    answer = await client.request("$management", amqp.Message(application_properties=dict(fields)))
    body = answer.body.value if isinstance(answer.body, AmqpValue) else {}
    found = body["partition_ids"]
    return [str(item) for item in (found.items if isinstance(found, Array) else found)]


async def _receiver(
    client: AmqpClient, endpoint: _Endpoint, group: str, partition: str, since: float | None
) -> AmqpReceiver:
    selector = "amqp.annotation.x-opt-offset > '@latest'"
    if since is not None:
        selector = f"amqp.annotation.x-opt-enqueued-time > '{int(since * 1000)}'"
    address = f"{endpoint.name}/ConsumerGroups/{group}/Partitions/{partition}"
    return await client.receiver(address, credit=CREDIT, filter={_SELECTOR: Described(_SELECTOR, selector)})


async def _pass_on(receiver: AmqpReceiver, queue: asyncio.Queue[JsonObject | AmqpError]) -> None:
    """Settling gives new credit: a full queue holds the partition up."""
    try:
        async for delivery in receiver:
            await queue.put(event_document(delivery.message()))
            receiver.settle(delivery, ACCEPTED)
    except AmqpError as error:
        await queue.put(error)


async def _events(queue: asyncio.Queue[JsonObject | AmqpError]) -> AsyncIterator[JsonObject]:
    while True:
        event = await queue.get()
        if isinstance(event, AmqpError):
            raise MonitorError(f"the endpoint ended the reading: {event}") from event
        yield event


def _explained(error: AmqpError, group: str) -> MonitorError:
    if error.condition == amqp.errors.NOT_FOUND:
        return NoConsumerGroupError(f"there is no consumer group {group!r} on this hub: {error}")
    return MonitorError(f"the hub's events cannot be read: {error}")


def _body(payload: bytes, system: Mapping[str, str]) -> Any:
    kind = system.get("contentType", "").partition(";")[0].strip().lower()
    try:
        return orjson.loads(payload) if kind == "application/json" else payload.decode("utf-8")
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return {"base64": base64.b64encode(payload).decode("ascii")}
