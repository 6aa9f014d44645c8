"""The sentiment module put together."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from device.app import App
from device.client import HubClient
from iot_core.message import Message
from modules.common.frame import client_for, run_module
from modules.common.monitoring import Health
from modules.common.options import ModuleOptions
from modules.sentiment.container import Container
from modules.sentiment.intake import ROOM_S, Intake
from modules.sentiment.metrics import SentimentMetrics
from modules.sentiment.outputs import Outputs
from modules.sentiment.pipeline import Pipeline
from modules.sentiment.settings import SentimentSettings
from modules.sentiment.waiting import WaitingTexts

__all__ = ["create_app", "serve", "spool_folder"]

TEXTS = "texts"  # the input that texts are routed to
SPOOL_VARIABLE = "SENTIMENT_SPOOL"


@asynccontextmanager
async def create_app(
    client: HubClient, folder: Path, *, registry: CollectorRegistry | None = None, room_s: float = ROOM_S
) -> AsyncIterator[App[SentimentSettings]]:
    """The application on any HubClient: input `texts`, outputs `scored` and `errors`. Scores while the block runs; what
    is not done at its end stays in `folder`. `room_s`: how long a message waits for room on disk."""
    app = App(client, SentimentSettings, name="sentiment")
    metrics, texts = SentimentMetrics(registry), WaitingTexts.open(folder)
    metrics.waiting.set_function(lambda: texts.count)
    metrics.waiting_bytes.set_function(lambda: texts.size)
    outputs = Outputs(app.send_to_output, metrics)
    intake = Intake(texts, outputs, lambda: app.settings, metrics, room_s=room_s)
    async with Container() as container:
        pipeline = Pipeline(texts, container, outputs, lambda: app.settings, metrics)

        @app.input(TEXTS)
        async def take(message: Message) -> None:
            await app.ready.wait()  # The twin says where the text is.
            await intake.take(message)

        @app.on_settings
        async def apply(settings: SentimentSettings) -> None:
            if container.is_elsewhere(settings.endpoint):
                pipeline.breaker.reset()

        @app.every_interval
        async def report() -> None:
            ready = await container.ready(app.settings.endpoint)
            app.report(_reported(metrics, texts, outputs, pipeline, container, ready=ready))

        work = asyncio.create_task(_when_ready(app, pipeline))
        try:
            yield app
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await texts.close()


def _reported(
    metrics: SentimentMetrics,
    texts: WaitingTexts,
    outputs: Outputs,
    pipeline: Pipeline,
    container: Container,
    *,
    ready: bool,
) -> dict[str, Any]:
    return {
        "counts": metrics.reported(),
        "queued": texts.count,
        "queuedBytes": texts.size,
        "containerReady": ready,
        "containerApi": container.version,
        "breaker": pipeline.breaker.state.value,
        "lastError": outputs.last_error,
    }


async def _when_ready(app: App[SentimentSettings], pipeline: Pipeline) -> None:
    """Only once the twin's settings are known: they say where the container is."""
    await app.ready.wait()
    await pipeline.run()


async def serve(options: ModuleOptions, environment: Mapping[str, str] = os.environ) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    registry, health = CollectorRegistry(), Health()
    client = client_for(options, name="sentiment")
    async with create_app(client, spool_folder(environment), registry=registry) as app:
        return await run_module(app, registry=registry, health=health, options=options)


def spool_folder(environment: Mapping[str, str]) -> Path:
    """SENTIMENT_SPOOL, else a folder among the temporary files that belongs to this module identity alone."""
    if named := environment.get(SPOOL_VARIABLE):
        return Path(named)
    names = ("IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID")
    identity = "-".join(environment.get(name, "") for name in names)
    safe = "".join(character if character.isalnum() or character in "-_" else "_" for character in identity)
    return Path(tempfile.gettempdir()) / f"edgeyard-sentiment-{os.getuid()}-{safe}"
