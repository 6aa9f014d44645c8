"""Starts the scorer: `python -m modules.scorer` (options: --help)."""

from __future__ import annotations

import os
import sys

from device.logs import configure_logs
from device.process import run_process
from modules.scorer.module import serve
from modules.scorer.options import parse_options


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use."""

    async def work() -> int:
        return await serve(parse_options(sys.argv[1:], os.environ))

    configure_logs()
    return run_process(work)
