"""The pipe from a module's output to its log.

Not asyncio's own pipe: with that, the end of a process is told only after every copy of the pipe is closed, and
whatever the module started may hold one for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from local_edge.engines.module_log import ModuleLog

__all__ = ["OutputPipe"]

READ_BYTES = 65536
DRAIN_S = 1.0
"""How long the rest of the output is waited for once the module has ended."""


class OutputPipe:
    """Copies what is written to `write_end` into `log`, as it comes."""

    def __init__(self, log: ModuleLog) -> None:
        self._log = log
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._read_end, self._copy)

    def handed_over(self) -> None:
        """The module has its copy of the write end: ours would keep the pipe open."""
        os.close(self.write_end)

    async def close(self) -> None:
        """Copy the rest and close the log."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._ended.wait()
        self._close_read_end()

    def discard(self) -> None:
        """The module was not started after all."""
        self.handed_over()
        self._close_read_end()

    def _close_read_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        self._log.close()

    def _copy(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._read_end, READ_BYTES)
            if data:
                self._log.write(data)
            else:
                asyncio.get_running_loop().remove_reader(self._read_end)
                self._ended.set()
