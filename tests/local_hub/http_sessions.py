"""HTTP sessions of tests that are over when they are left.

aiohttp gives up a TLS connection that its server ends after an answer without waiting for the end of it. The loop of a
test is closed soon after, the transport never, and the collector finds it in some later, innocent test.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType

CLOSED_WITHIN_S = 10.0


@asynccontextmanager
async def http_session(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the options of aiohttp's; on the way out it waits until all its sockets are closed."""
    sockets: list[socket.socket] = []

    def make(address: AddrInfoType) -> socket.socket:
        sockets.append(socket.socket(*address[:3]))
        return sockets[-1]

    connector = aiohttp.TCPConnector(socket_factory=make)
    async with aiohttp.ClientSession(connector=connector, **options) as session:
        yield session
    async with asyncio.timeout(CLOSED_WITHIN_S):
        while any(each.fileno() != -1 for each in sockets):
            await asyncio.sleep(0.002)
