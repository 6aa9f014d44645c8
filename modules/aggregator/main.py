"""Starts the aggregator: `python -m modules.aggregator` (options: --help)."""

from __future__ import annotations

import argparse
import os
import sys

from device.logs import configure_logs
from device.process import run_process
from modules.aggregator.module import serve
from modules.common.options import add_module_options, module_options


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m modules.aggregator", description="Windows over event time")
    add_module_options(parser, os.environ)
    values = parser.parse_args(sys.argv[1:])

    async def work() -> int:
        return await serve(module_options(values))

    configure_logs()
    return run_process(work)
