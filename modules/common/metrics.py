"""The metrics that every module has, as an Observer of its App."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector

from modules.common.monitoring import Health

__all__ = ["HUB", "TWIN", "ModuleMetrics"]

HUB = "hub"
TWIN = "twin"
TELEMETRY = "$upstream"
"""The output label of messages that are telemetry of the module itself."""


class ModuleMetrics:
    """Standard metrics on `registry`; health says whether the hub is connected and the twin applied."""

    def __init__(self, registry: CollectorRegistry, health: Health, *, module: str) -> None:
        self._health = health
        ProcessCollector(registry=registry)
        Info("edgeyard_module", "Which module this is", registry=registry).info({"module": module})
        self.messages_received = Counter(
            "edgeyard_messages_received", "Messages that came to an input", ["input"], registry=registry
        )
        self.messages_sent = Counter(
            "edgeyard_messages_sent", "Messages that the hub acknowledged", ["output"], registry=registry
        )
        self.errors = Counter("edgeyard_errors", "Failures by kind", ["kind"], registry=registry)
        self.settings_version = Gauge(
            "edgeyard_settings_version", "Version of the desired properties last applied", registry=registry
        )
        self.patches = Counter(
            "edgeyard_reported_patches", "Patches of the reported properties that the hub took", registry=registry
        )
        self.connection = Gauge("edgeyard_connected", "1 while connected to the hub", registry=registry)
        self._ready = Gauge("edgeyard_ready", "1 when /ready answers 200", registry=registry)
        self._ready.set_function(lambda: float(health.is_ready))

    def connected(self, connected: bool) -> None:
        self.connection.set(float(connected))
        _mark(self._health, HUB, connected, "not connected")

    def in_step(self, in_step: bool) -> None:
        _mark(self._health, TWIN, in_step, "the desired properties are not applied yet")

    def received(self, name: str) -> None:
        self.messages_received.labels(name).inc()

    def sent(self, output: str | None) -> None:
        self.messages_sent.labels(TELEMETRY if output is None else output).inc()

    def failed(self, kind: str) -> None:
        self.errors.labels(kind).inc()

    def settings_applied(self, version: int) -> None:
        self.settings_version.set(version)

    def patch_reported(self) -> None:
        self.patches.inc()


def _mark(health: Health, part: str, works: bool, reason: str) -> None:
    if works:
        health.ready(part)
    else:
        health.not_ready(part, reason)
