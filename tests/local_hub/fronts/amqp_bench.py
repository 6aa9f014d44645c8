"""Clients of a hub's AMQP front, on our own engine; tests of the SDKs have their own."""

from __future__ import annotations

import json
import time
from typing import Any

from iot_core import sas
from iot_core.amqp import Accepted, ClientSasl, Data, Message
from transport.amqp_client import AmqpClient


async def connected(hub: Any, **options: Any) -> AmqpClient:
    """A connection that may do nothing yet."""
    options.setdefault("sasl", ClientSasl(mechanism="MSSBCBS"))
    return await AmqpClient.connect(hub.host, hub.running["amqp_port"], hub.tls, **options)


async def service(hub: Any) -> AmqpClient:
    """A connection with the owner's token."""
    client = await connected(hub)
    await client.put_token(f"https://{hub.host}", sas.token_for(hub.owner, time.time()))
    return client


async def device(hub: Any, device: Any, **options: Any) -> AmqpClient:
    """A connection with the device's own token."""
    client = await connected(hub, **options)
    await client.put_token(device.identity.resource(hub.host), device.token())
    return client


def text(body: str, **fields: Any) -> Message:
    return Message(body=Data((body.encode(),)), **fields)


def is_accepted(state: object) -> bool:
    return isinstance(state, Accepted)


def reason(description: str) -> dict[str, Any]:
    """The error body in the description of an AMQP error."""
    body: dict[str, Any] = json.loads(description)
    return body
