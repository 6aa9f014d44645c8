"""A module that says the texts that its method `say` is given, one message each, to output `texts`."""

from __future__ import annotations

import asyncio

import orjson

from device.app import App
from device.azure_client import SdkClient
from device.settings import ReportingSettings
from iot_core.message import Message


async def main() -> None:
    app = App(SdkClient.from_edge_environment(), ReportingSettings)

    @app.method("say")
    async def say(texts: list[str]) -> int:
        for text in texts:
            await app.send(Message(orjson.dumps({"text": text})), output="texts")
        return len(texts)

    await app.run()


if __name__ == "__main__":
    asyncio.run(main())
