"""The server: listens, watches the time and the memory of its connections, and stops cleanly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from iot_core.errors import InputError
from modules.common.http11.buffers import BufferPool
from modules.common.http11.connection import Application, Connection, State
from modules.common.http11.head import HttpError
from modules.common.serving import port_refused

__all__ = ["HttpServer", "http_serving"]

MAX_IN_FLIGHT = 512 * 1024 * 1024
"""Bytes of bodies that are received or worked on at the same time, over all connections."""
KEEP_ALIVE_S = 75.0  # between two requests of a connection; the value that nginx made usual
RECEIVE_S = 30.0  # without a byte of a request that has begun
LINGER_S = 5.0  # for a client that still sends after its answer
SWEEP_S = 1.0
STOP_S = 1.0  # for requests under way when the process is told to stop; a module has 5 s in all
BACKLOG = 1024


class HttpServer:
    """Serves one Application. Use from one event loop."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.stopping = False
        self.buffers = BufferPool()
        self._connections: set[Connection] = set()
        self._bytes = 0
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._all_closed = asyncio.Event()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port (0 takes a free one); OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG)
        self._sweeper = asyncio.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more requests, give those under way STOP_S, then close."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            if connection.state is not State.ANSWERING:
                connection.close()
        await self._until_closed(STOP_S)
        for connection in list(self._connections):
            connection.abort()
        await self._until_closed(STOP_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    # Called by connections

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def reserve(self, count: int) -> None:
        """Account for the memory of a body; HttpError 503 when too much is in flight already."""
        if self._bytes + count > MAX_IN_FLIGHT:
            raise HttpError(503, "too many large requests are under way: try again in a moment", {"Retry-After": "1"})
        self._bytes += count

    def release(self, count: int) -> None:
        self._bytes -= count

    async def _until_closed(self, seconds: float) -> None:
        self._all_closed.clear()
        if self._connections:
            try:
                await asyncio.wait_for(self._all_closed.wait(), seconds)
            except TimeoutError:
                return

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """Close what has been silent for too long at the monotonic time `now`."""
        self.buffers.sweep(now)
        for connection in list(self._connections):
            silent = now - connection.moved_at
            if connection.state is State.LINGERING:
                if silent > LINGER_S:
                    connection.abort()
            elif connection.idle:
                if silent > KEEP_ALIVE_S:
                    connection.close()
            elif connection.state is not State.ANSWERING and silent > RECEIVE_S:
                connection.timed_out()


@asynccontextmanager
async def http_serving(app: Application, host: str, port: int, *, remedy: str) -> AsyncIterator[int]:
    """Serve while the block runs and yield the port; InputError, ending with `remedy`, when it cannot be had."""
    server = HttpServer(app)
    try:
        try:
            actual = await server.start(host, port)
        except OSError as error:
            raise InputError(port_refused(host, port, error, remedy)) from None
        yield actual
    finally:
        await server.stop()
