"""The control socket of a running edge: a Unix socket in its private run-time folder, for the same user only."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iot_core.errors import EdgeyardError
from local_edge.control_protocol import MAX_LINE_BYTES, ModuleRow

__all__ = ["ControlServer"]


class ControlServer:
    """Answers `local_edge.control`."""

    def __init__(
        self,
        path: Path,
        *,
        rows: Callable[[], list[ModuleRow]],
        restart: Callable[[str], Awaitable[None]],
        stop: Callable[[], None],
    ) -> None:
        self._path = path
        self._rows = rows
        self._restart = restart
        self._stop = stop
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_LINE_BYTES)
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError):
            answer = await self._answer(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"result": await self._do(request)}
        except EdgeyardError as error:
            return {"error": str(error)}
        except (ValueError, KeyError, TypeError):
            return {"error": "the request is not one that this edge knows"}

    async def _do(self, request: dict[str, Any]) -> Any:
        match request:
            case {"verb": "list"}:
                return [asdict(row) for row in self._rows()]
            case {"verb": "restart", "module": str(module)}:
                return await self._restart(module)
            case {"verb": "stop"}:
                return self._stop()
            case _:
                raise ValueError("unknown verb")
