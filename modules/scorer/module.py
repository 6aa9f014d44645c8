"""The scorer put together: models, HTTP interface, and the application on the edge hub."""

from __future__ import annotations

from typing import Any

import structlog

from device.app import App
from device.azure_client import SdkClient
from device.client import HubClient
from device.process import stop_on_signals
from iot_core.message import Message
from modules.common.delivery import deliver
from modules.common.serving import serving
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.classifier import Classifier
from modules.scorer.http import create_http_app
from modules.scorer.options import Options
from modules.scorer.settings import ScorerSettings
from modules.scorer.telemetry import Output, TelemetryScorer
from modules.scorer.workers import Workers

__all__ = ["create_app", "serve"]

TELEMETRY = "telemetry"  # the input that telemetry is routed to
log = structlog.get_logger("scorer")


def create_app(client: HubClient, scorer: TelemetryScorer, models: dict[str, Any]) -> App[ScorerSettings]:
    """The application on any HubClient: input `telemetry`, outputs `scores` and `anomalies`; `models` is reported."""
    app = App(client, ScorerSettings, name="scorer")
    app.report({"models": models})

    @app.input(TELEMETRY)
    async def telemetry(message: Message) -> None:
        before = scorer.counts.errors
        outputs = scorer.take(message, app.settings)
        if scorer.counts.errors > before:
            log.warning("message not scored", reason=scorer.last_error)
        for output in outputs:
            await _send(client, output)

    @app.every_interval
    async def report() -> None:
        app.report(scorer.reported())

    return app


async def serve(options: Options) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    classifier, anomaly = Classifier(options.classifier, options.labels), AnomalyModel(options.anomaly)
    models = {"classifier": _summary(classifier.model.information()), "anomaly": _summary(anomaly.model.information())}
    information = {"classifier": classifier.information(), "anomaly": anomaly.model.information()}
    workers = Workers()
    http = create_http_app(classifier, workers, lambda: information)
    try:
        async with serving(
            http, options.host, options.port, remedy="choose another with --port or SCORER_PORT"
        ) as port:
            log.info("listening", host=options.host, port=port, standalone=options.standalone)
            await (_wait() if options.standalone else _run_module(anomaly, models))
    finally:
        workers.close()
    return 0


async def _run_module(anomaly: AnomalyModel, models: dict[str, Any]) -> None:
    client = SdkClient.from_edge_environment(name="scorer")
    await create_app(client, TelemetryScorer(detector=Detector(anomaly)), models).run()


async def _wait() -> None:
    async with stop_on_signals() as stop:
        await stop.wait()


async def _send(client: HubClient, output: Output) -> None:
    for name in output.outputs:
        await deliver(client.send_to_output, output.message, name)


def _summary(information: dict[str, Any]) -> dict[str, str]:
    """What the twin holds of a model; its shapes and labels are at GET /models."""
    return {name: information[name] for name in ("name", "sha256", "provider")}
