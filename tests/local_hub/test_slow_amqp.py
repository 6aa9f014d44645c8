"""A client of AMQP that opens a connection and never shows who it is, against the front in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from iot_core import sas
from local_hub.auth.permissions import Permission
from local_hub.fronts.amqp import AmqpFront, clients
from local_hub.hub import Hub
from transport.amqp_client import AmqpClient, AmqpError

SHORT_S = 0.3
RESOURCE = "127.0.0.1"


@pytest.fixture
async def client(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AmqpClient]:
    """An open connection without TLS and without a log-in."""
    monkeypatch.setattr(clients, "LOGIN_WITHIN_S", SHORT_S)
    front = AmqpFront(hub)
    server = await asyncio.get_running_loop().create_server(front.protocol, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    opened = await AmqpClient.connect(host, port, None)
    yield opened
    await opened.close()
    server.close()
    await front.stop()


async def ended(client: AmqpClient) -> AmqpError:
    """The error that the hub ends the connection with."""
    with pytest.raises(AmqpError) as caught:
        await (await client.receiver("$cbs", target="waiting")).receive()
    return caught.value


async def test_without_a_token_the_connection_is_closed_by_name(client: AmqpClient) -> None:
    error = await ended(client)
    assert error.condition == "amqp:unauthorized-access"
    assert "No token was put within" in str(error)


async def test_with_a_token_it_stays(hub: Hub, client: AmqpClient) -> None:
    policy = hub.policies.get("service")
    assert Permission.SERVICE_CONNECT in policy.rights
    token = sas.sign(RESOURCE, policy.keys[0], int(hub.token_clock.now()) + 600, "service")
    await client.put_token(RESOURCE, token)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ended(client), 3 * SHORT_S)
    await client.put_token(RESOURCE, token)
