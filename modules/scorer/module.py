"""The scorer put together: models, HTTP interface, and the application on the edge hub."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from device.app import App
from device.client import HubClient, Json
from iot_core.message import Message
from modules.common.delivery import deliver
from modules.common.frame import client_for, run_module
from modules.common.http11 import http_serving
from modules.common.monitoring import Health
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.api import Access, ScorerApi
from modules.scorer.archive import Archive, keep_saving
from modules.scorer.catalogue import BUILT_IN, Catalogue, Servable, load_model
from modules.scorer.fetching import Fetcher
from modules.scorer.gathering import Gathering
from modules.scorer.metrics import ScorerMetrics
from modules.scorer.options import Options
from modules.scorer.reporting import ModelsReport
from modules.scorer.scoring import ScoringModel
from modules.scorer.settings import ScorerSettings
from modules.scorer.specification import ModelSpec, Task
from modules.scorer.telemetry import Output, TelemetryScorer
from modules.scorer.telemetry_metrics import TelemetryMetrics
from modules.scorer.workers import Workers

__all__ = ["Scorer", "ScorerApp", "serve"]

TELEMETRY = "telemetry"  # the input that telemetry is routed to
ANOMALY, CLASSIFIER, SCRIPT = "anomaly", "classifier", "script"
MOST_SERIES = 100_000  # as the setting maxSeries allows; the twin, which may say less, is not known yet
REMEDY = "choose another with --port or SCORER_PORT"
log = structlog.get_logger("scorer")


class Scorer:
    """Everything that is served, whether by HTTP or on messages."""

    def __init__(self, options: Options, registry: CollectorRegistry, health: Health) -> None:
        """Raises InputError when the anomaly model cannot be loaded; nothing else is loaded yet."""
        self.settings = ScorerSettings()
        self._options = options
        self._health = health
        self._metrics = ScorerMetrics(registry)
        self._fetcher = Fetcher(options.data / "models")
        self._detecting: tuple[Servable, AnomalyModel] | None = None
        self._access = Access(*filter(None, [options.key]))
        self._workers = Workers(options.workers)
        self.telemetry = TelemetryScorer(detector=Detector(AnomalyModel()))
        registry.register(TelemetryMetrics(self.telemetry))
        self.catalogue = Catalogue(self._load, built_in=_built_in(options), changed=self._changed)
        self.report = ModelsReport(self.catalogue)
        self.api = ScorerApi(
            self.catalogue,
            self._workers,
            access=self._access,
            metrics=self._metrics,
            default_model=self.default_model,
            ready=health.reasons,
        )
        self.tell: Callable[[], None] = _nothing
        """Called when what is reported of the models changed."""
        self._changed()

    def default_model(self) -> str:
        """The model that POST /score means."""
        chosen = self.settings.default_model or self._options.default_model
        return chosen or (SCRIPT if self._options.entry_script else CLASSIFIER)

    async def use(self, settings: ScorerSettings) -> None:
        """Put settings in force; returns when every model is loaded or has failed."""
        self.settings = settings
        self._access.also(settings.key.get_secret_value() if settings.key else None)
        self._changed()
        if await self.catalogue.apply(settings.models, settings.providers or self._options.providers):
            self.report.settled()
            self.tell()

    async def close(self) -> None:
        self._workers.close()
        await self.catalogue.close()

    async def _load(self, name: str, spec: ModelSpec, providers: Sequence[str] | None) -> Servable:
        model = await load_model(name, spec, self._fetcher, providers)
        if name == ANOMALY and isinstance(model, ScoringModel):
            self._detecting = model, await asyncio.to_thread(AnomalyModel, model.onnx)
        return model

    def _changed(self) -> None:
        if self._detecting is not None and self.catalogue.in_force(ANOMALY) is self._detecting[0]:
            self.telemetry.detector.use(self._detecting[1])
            self._detecting = None
        statuses = self.catalogue.statuses()
        self._metrics.served({name: status["status"] for name, status in statuses.items()})
        if self.default_model() in self.catalogue.names():
            self._health.ready("model")
        else:
            self._health.not_ready("model", f"{self.default_model()} is not in service")
        self.tell()


class ScorerApp(App[ScorerSettings]):
    """The application on any HubClient: input `telemetry`, outputs `scores` and `anomalies`."""

    def __init__(self, client: HubClient, scorer: Scorer) -> None:
        super().__init__(client, ScorerSettings, name="scorer")
        self._scorer = scorer
        self._gathering = Gathering(scorer.telemetry, lambda: self.settings)
        scorer.tell = self._report_models
        self.input(TELEMETRY)(self._telemetry)
        self.every_interval(self._report)
        self.on_settings(self._settings_changed)

    def report(self, properties: dict[str, Json]) -> None:
        """As App.report; the acknowledgement of `models` goes together with what became of them."""
        if "models" in properties:
            self._scorer.report.acknowledged(properties["models"])
            properties = {**properties, "models": self._scorer.report.property()}
        super().report(properties)

    def _report_models(self) -> None:
        super().report({"models": self._scorer.report.property()})

    async def _settings_changed(self, settings: ScorerSettings) -> None:
        self.spawn(self._use(settings))  # models may take minutes to fetch; messages and settings do not wait for that

    async def _use(self, settings: ScorerSettings) -> None:
        await self._scorer.use(settings)
        await self.report_now()

    async def _telemetry(self, message: Message) -> None:
        for output in await self._gathering.take(message):
            await self._send_on(output)

    async def _send_on(self, output: Output) -> None:
        for name in output.outputs:
            await deliver(self.send_to_output, output.message, name)

    async def _report(self) -> None:
        self.report(self._scorer.telemetry.reported())


async def serve(options: Options, stop: asyncio.Event | None = None) -> int:
    """Run until `stop` is set, or SIGTERM or SIGINT comes; the exit code."""
    registry, health = CollectorRegistry(), Health()
    client = client_for(options.module, name="scorer")
    scorer = Scorer(options, registry, health)
    app = ScorerApp(client, scorer)
    try:
        await scorer.use(scorer.settings)
        gc.freeze()  # what is loaded stays; the collector need not look at it again
        async with (
            _remembering(scorer.telemetry.detector, options.data),
            http_serving(scorer.api, options.host, options.port, remedy=REMEDY) as port,
        ):
            log.info("listening", host=options.host, port=port, standalone=options.module.standalone)
            return await run_module(app, registry=registry, health=health, options=options.module, stop=stop)
    finally:
        await scorer.close()


@asynccontextmanager
async def _remembering(detector: Detector, folder: Path) -> AsyncIterator[None]:
    """The series of the last process, and saving them: again and again, and at the end."""
    archive = Archive(folder)
    detector.restore(archive.load(MOST_SERIES))
    saving = asyncio.create_task(keep_saving(archive, detector))
    try:
        yield
    finally:
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await archive.save(detector)
        await archive.close()


def _nothing() -> None: ...


def _built_in(options: Options) -> dict[str, ModelSpec]:
    if options.entry_script is None:
        return BUILT_IN
    directory = None if options.model_dir is None else str(options.model_dir)
    return {**BUILT_IN, SCRIPT: ModelSpec(source=str(options.entry_script), task=Task.SCRIPT, model_dir=directory)}
