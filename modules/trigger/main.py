"""Starts the trigger module: `python -m modules.trigger` (options: --help)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from device.logs import configure_logs
from device.process import run_process
from modules.common.data import data_folder
from modules.common.frame import client_for, run_module
from modules.common.monitoring import Health
from modules.common.options import ModuleOptions, add_module_options, module_options
from modules.trigger.module import trigger_module

__all__ = ["Options", "main", "parse_options", "serve"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one trigger process runs; `device` and `module` name it in the events that it sends."""

    common: ModuleOptions
    data: Path
    device: str
    module: str


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Arguments win over the environment; InputError for a bad port or data folder."""
    parser = argparse.ArgumentParser(
        prog="python -m modules.trigger", description="Watches messages and acts by rules."
    )
    parser.add_argument(
        "--data",
        default=environment.get("TRIGGER_DATA"),
        help="folder of what waits to be delivered (TRIGGER_DATA; a temporary one)",
    )
    add_module_options(parser, environment)
    values = parser.parse_args(arguments)
    return Options(
        common=module_options(values),
        data=data_folder("trigger", values.data, environment, remedy="name another with --data or TRIGGER_DATA"),
        device=environment.get("IOTEDGE_DEVICEID", "standalone"),
        module=environment.get("IOTEDGE_MODULEID", "trigger"),
    )


async def serve(options: Options) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    registry, health = CollectorRegistry(), Health()
    client = client_for(options.common, name="trigger")
    async with trigger_module(
        client, options.data, device=options.device, module=options.module, registry=registry
    ) as app:
        return await run_module(app, registry=registry, health=health, options=options.common)


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use."""

    async def work() -> int:
        return await serve(parse_options(sys.argv[1:], os.environ))

    configure_logs()
    return run_process(work)
