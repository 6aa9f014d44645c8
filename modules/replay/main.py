"""Starts the replay module: `python -m modules.replay` (options: --help)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from device.logs import configure_logs
from device.process import run_process
from modules.common.frame import client_for, run_module
from modules.common.monitoring import Health
from modules.common.options import ModuleOptions, add_module_options, module_options
from modules.replay.module import ReplayModule

__all__ = ["main", "parse_options", "serve"]


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> ModuleOptions:
    """Arguments win over the environment; InputError for a bad port."""
    parser = argparse.ArgumentParser(prog="python -m modules.replay", description="Plays recordings to its outputs.")
    add_module_options(parser, environment)
    return module_options(parser.parse_args(arguments))


async def serve(options: ModuleOptions) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    module = ReplayModule(client_for(options, name="replay"))
    return await run_module(module.app, registry=CollectorRegistry(), health=Health(), options=options)


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use."""

    async def work() -> int:
        return await serve(parse_options(sys.argv[1:], os.environ))

    configure_logs()
    return run_process(work)
