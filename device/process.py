"""The life of a process: stop on signals, exit codes, no lingering."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from iot_core.errors import EdgeyardError, InputError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LINGER_S = 0.4  # azure-iot-device leaves threads behind while a host does not answer; all work is done by then.
FAILED = 1
WRONG_USE = 2


@asynccontextmanager
async def stop_on_signals(stop: asyncio.Event | None = None) -> AsyncIterator[asyncio.Event]:
    """Yield `stop` as it is; without one, a new event that the first SIGTERM or SIGINT sets (main thread only)."""
    if stop is not None:
        yield stop
        return
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def run_process(
    main: Callable[[], Coroutine[Any, Any, int]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run `main` to its end, on a loop of `loop_factory` if one is given, and return its exit code; an InputError is
    one line and 2, another EdgeyardError 1."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_exit_code(main()))


def leave(code: int) -> NoReturn:
    """End the process with `code`, within LINGER_S even if a library's thread does not end."""
    timer = threading.Timer(LINGER_S, os._exit, (code,))
    timer.daemon = True
    timer.start()
    sys.exit(code)


class _ImpatientExecutor(ThreadPoolExecutor):
    """Does not hold up the end of the loop: azure-iot-device waits in such a thread for a host that stays silent."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


async def _exit_code(work: Coroutine[Any, Any, int]) -> int:
    asyncio.get_running_loop().set_default_executor(_ImpatientExecutor())
    try:
        return await work
    except EdgeyardError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return WRONG_USE if isinstance(error, InputError) else FAILED
