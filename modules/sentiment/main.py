"""Starts the sentiment module: `python -m modules.sentiment` (options: --help)."""

from __future__ import annotations

import argparse
import os
import sys

from device.logs import configure_logs
from device.process import run_process
from modules.common.options import add_module_options, module_options
from modules.sentiment.module import serve


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use or when no edge runtime started it."""

    async def work() -> int:
        parser = argparse.ArgumentParser(prog="python -m modules.sentiment", description="The sentiment module.")
        add_module_options(parser, os.environ)
        return await serve(module_options(parser.parse_args(sys.argv[1:])))

    configure_logs()
    return run_process(work)
