"""Run a blocking call beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """The result of `function`, run in a daemon thread of its own.

    Unlike `asyncio.to_thread` a call that never returns holds up neither the end of the loop nor that of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def run() -> None:
        outcome: tuple[Callable[[Any], None], Any]
        try:
            outcome = (future.set_result, function())
        except BaseException as error:
            outcome = (future.set_exception, error)
        with suppress(RuntimeError):  # The loop may be closed by now.
            loop.call_soon_threadsafe(deliver, *outcome)

    threading.Thread(target=run, name="blocking-call", daemon=True).start()
    return await future
