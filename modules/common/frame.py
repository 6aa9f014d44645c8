"""The frame that every module's process runs in: the App beside health and metrics, with or without a hub.

    async def serve(options: ModuleOptions) -> int:
        registry, health = CollectorRegistry(), Health()
        client = client_for(options, name="counter")
        app = App(client, CounterSettings, name="counter")
        ...
        return await run_module(app, registry=registry, health=health, options=options)

The manners themselves are device.app's: settings acknowledged, reports at the interval, a drained stop.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry

from device.app import App
from device.azure_client import SdkClient
from device.client import HubClient
from device.process import stop_on_signals
from device.settings import ReportingSettings
from modules.common.metrics import ModuleMetrics
from modules.common.monitoring import Health, monitoring
from modules.common.options import ModuleOptions
from modules.common.standalone import StandaloneClient

__all__ = ["client_for", "run_module"]

S = TypeVar("S", bound=ReportingSettings)
log = structlog.get_logger("module")


def client_for(options: ModuleOptions, *, name: str) -> HubClient:
    """The client of the edge runtime that started this process, or with `standalone` one that needs no hub; InputError
    for a twin file that cannot be read."""
    if options.standalone:
        return StandaloneClient(twin=options.twin)
    return SdkClient.from_edge_environment(name=name)


async def run_module(
    app: App[S],
    *,
    registry: CollectorRegistry,
    health: Health,
    options: ModuleOptions,
    stop: asyncio.Event | None = None,
) -> int:
    """Run the app until `stop` is set (or SIGTERM or SIGINT comes), serving health and metrics; the exit code.

    /ready says 503 until the hub is connected and the twin applied, and as long as another part of `health` is not
    ready. A stop ends within 5 s: what is in flight is waited for. Raises what `App.run` raises, and InputError for a
    port that is taken.
    """
    metrics = ModuleMetrics(registry, health, module=app.name)
    metrics.connected(False)
    metrics.in_step(False)
    app.observer = metrics
    async with (
        stop_on_signals(stop) as stopping,
        monitoring(registry, health, host=options.metrics_host, port=options.metrics_port) as port,
    ):
        log.info("monitoring", host=options.metrics_host, port=port, standalone=options.standalone)
        await app.run(stopping)
    return 0
