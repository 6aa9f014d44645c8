"""The aggregator module put together."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic.alias_generators import to_camel

from device.app import App
from device.client import HubClient
from iot_core.clock import Clock, SystemClock
from iot_core.message import Message
from modules.aggregator.aggregator import Aggregator
from modules.aggregator.metrics import AggregatorMetrics
from modules.aggregator.sender import Sender
from modules.aggregator.settings import AggregatorSettings
from modules.aggregator.times import iso_of
from modules.aggregator.watermark import NEVER
from modules.common.frame import client_for, run_module
from modules.common.monitoring import Health
from modules.common.options import ModuleOptions

__all__ = ["AggregatorModule", "create_module", "serve", "state_folder"]

MESSAGES = "messages"  # the input
STATE_VARIABLE = "AGGREGATOR_STATE"
LOOK_S = 0.5  # Between two looks whether silence closes a window.
DISK = "disk"


@dataclass(frozen=True, kw_only=True)
class AggregatorModule:
    """The application and what is in it."""

    app: App[AggregatorSettings]
    aggregator: Aggregator
    sender: Sender


@asynccontextmanager
async def create_module(
    client: HubClient, folder: Path, *, health: Health | None = None, clock: Clock | None = None
) -> AsyncIterator[AggregatorModule]:
    """The application on any HubClient; works while the block runs, and leaves its state in `folder`."""
    clock = clock or SystemClock()
    aggregator = Aggregator.open(folder, clock=clock)
    app = App(client, AggregatorSettings, name="aggregator", last_good=aggregator.in_force())
    sender = Sender(aggregator.outbox, app.send_to_output, aggregator.acknowledged)
    module = AggregatorModule(app=app, aggregator=aggregator, sender=sender)
    _register(module, health or Health())
    aggregator.start()
    tasks = [asyncio.create_task(sender.run()), asyncio.create_task(_look_for_silence(module, clock))]
    try:
        yield module
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await aggregator.close()


def _register(module: AggregatorModule, health: Health) -> None:
    app, aggregator = module.app, module.aggregator

    @app.input(MESSAGES)
    async def messages(message: Message) -> None:
        await aggregator.take(message)

    @app.on_settings
    async def settings(settings: AggregatorSettings) -> None:
        await aggregator.configure(settings)

    @app.every_interval
    async def report() -> None:
        if aggregator.problem is None:
            health.ready(DISK)
        else:
            health.not_ready(DISK, aggregator.problem)
        app.report(reported(module))


async def _look_for_silence(module: AggregatorModule, clock: Clock) -> None:
    """While there is no connection nothing can come, so that is no silence."""
    while True:
        await module.app.ready.wait()
        since = clock.now()
        while module.app.ready.is_set():
            await module.aggregator.pass_silence(since)
            await asyncio.sleep(LOOK_S)


def reported(module: AggregatorModule) -> dict[str, Any]:
    """Reported properties: intake, aggregations by name, unsent, diskProblem (None: there is none)."""
    engine = module.aggregator.engine
    return {
        "intake": _camel(asdict(engine.intake)),
        "aggregations": {
            name: {
                **_camel(asdict(one.counts)),
                "groups": one.groups,
                "openWindows": one.open_windows,
                "watermark": None if one.watermark.value == NEVER else iso_of(one.watermark.value),
            }
            for name, one in engine.aggregations.items()
        },
        "unsent": len(module.aggregator.outbox),
        "unsendable": module.sender.refused,
        "diskProblem": module.aggregator.problem,
    }


def _camel(counts: Mapping[str, int]) -> dict[str, int]:
    return {to_camel(name): value for name, value in counts.items()}


async def serve(options: ModuleOptions, environment: Mapping[str, str] = os.environ) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    registry, health = CollectorRegistry(), Health()
    client = client_for(options, name="aggregator")
    async with create_module(client, state_folder(environment), health=health) as module:
        registry.register(AggregatorMetrics(module.aggregator, module.sender))
        return await run_module(module.app, registry=registry, health=health, options=options)


def state_folder(environment: Mapping[str, str]) -> Path:
    """AGGREGATOR_STATE, else a folder among the temporary files that belongs to this module identity alone."""
    if named := environment.get(STATE_VARIABLE):
        return Path(named)
    names = ("IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID")
    identity = "-".join(environment.get(name, "") for name in names)
    safe = "".join(character if character.isalnum() or character in "-_" else "_" for character in identity)
    return Path(tempfile.gettempdir()) / f"edgeyard-aggregator-{os.getuid()}-{safe}"
