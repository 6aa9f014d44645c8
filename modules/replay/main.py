"""Entry point of the replay module, started by an IoT Edge runtime."""

from __future__ import annotations

from device.azure_client import SdkClient
from device.logs import configure_logs
from device.process import run_process
from modules.replay.module import ReplayModule


async def run() -> int:
    """Run until the runtime stops the module."""
    await ReplayModule(SdkClient.from_edge_environment(name="replay")).run()
    return 0


def main() -> int:
    """The command; returns the exit code."""
    configure_logs()
    return run_process(run)
