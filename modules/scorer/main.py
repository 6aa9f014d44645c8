"""Starts the scorer: `python -m modules.scorer` (options: --help)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from device.logs import configure_logs
from device.process import run_process
from modules.scorer.memory import keep_freed_memory
from modules.scorer.module import serve
from modules.scorer.options import parse_options

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:  # Windows has none
    from asyncio import new_event_loop


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use."""

    async def work() -> int:
        return await serve(parse_options(sys.argv[1:], os.environ))

    configure_logs()
    keep_freed_memory()
    return run_process(work, loop_factory=new_event_loop)
