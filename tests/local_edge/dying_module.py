"""A module on the frame that is killed while it handles its first message, and sends on the ones after its restart."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from device.app import App
from device.azure_client import SdkClient
from device.settings import ReportingSettings
from iot_core.message import Message

DIED = Path("died")  # in the folder that the edge gives to the module


def die_once() -> None:
    if not DIED.exists():
        DIED.touch()
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    app = App(SdkClient.from_edge_environment(), ReportingSettings)

    @app.input("in")
    async def take(message: Message) -> None:
        die_once()
        await app.send(message, output="out")

    await app.run()


if __name__ == "__main__":
    asyncio.run(main())
