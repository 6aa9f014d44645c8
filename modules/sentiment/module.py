"""The sentiment module put together."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from device.app import App
from device.azure_client import SdkClient
from device.client import HubClient
from iot_core.message import Message
from modules.sentiment.container import Container
from modules.sentiment.pipeline import Pipeline
from modules.sentiment.settings import SentimentSettings
from modules.sentiment.spool import SpoolQueue

__all__ = ["create_app", "serve", "spool_folder"]

TEXTS = "texts"  # the input that texts are routed to
IN_MEMORY = 1_000  # messages; at the limit of 256 KB each a quarter of a gigabyte, in practice some megabytes
SPOOL_VARIABLE = "SENTIMENT_SPOOL"


@asynccontextmanager
async def create_app(client: HubClient, folder: Path) -> AsyncIterator[App[SentimentSettings]]:
    """The application on any HubClient: input `texts`, outputs `scored` and `errors`. Scores while the block runs; what
    is not done at its end stays in `folder`."""
    app = App(client, SentimentSettings, name="sentiment")
    queue = SpoolQueue(folder, memory=IN_MEMORY)
    async with Container() as container:
        pipeline = Pipeline(queue, container, client.send_to_output, lambda: app.settings)
        _register(app, pipeline)
        work = asyncio.create_task(_when_ready(app, pipeline))
        try:
            yield app
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            queue.close()


def _register(app: App[SentimentSettings], pipeline: Pipeline) -> None:
    @app.input(TEXTS)
    async def texts(message: Message) -> None:
        await pipeline.take(message)

    @app.every_interval
    async def report() -> None:
        await pipeline.probe()
        app.report(pipeline.reported())


async def _when_ready(app: App[SentimentSettings], pipeline: Pipeline) -> None:
    """Only once the twin's settings are known: they say where the container is."""
    await app.ready.wait()
    await pipeline.run()


async def serve(environment: Mapping[str, str] = os.environ) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    client = SdkClient.from_edge_environment(name="sentiment")
    async with create_app(client, spool_folder(environment)) as app:
        await app.run()
    return 0


def spool_folder(environment: Mapping[str, str]) -> Path:
    """SENTIMENT_SPOOL, else a folder among the temporary files that belongs to this module identity alone."""
    if named := environment.get(SPOOL_VARIABLE):
        return Path(named)
    names = ("IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID")
    identity = "-".join(environment.get(name, "") for name in names)
    safe = "".join(character if character.isalnum() or character in "-_" else "_" for character in identity)
    return Path(tempfile.gettempdir()) / f"edgeyard-sentiment-{os.getuid()}-{safe}"
