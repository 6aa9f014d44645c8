"""What the trigger module counts, for Prometheus and for its reported properties."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from iot_core.clock import iso
from modules.trigger.engine import Engine
from modules.trigger.firing import Firing
from modules.trigger.outbox import Lane, Outbox

__all__ = ["TriggerMetrics"]

ATTEMPT_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class TriggerMetrics:
    """The `modules.trigger.dispatcher.Outcomes` of the module; counts since its start."""

    def __init__(self, registry: CollectorRegistry, outbox: Outbox, engine: Engine) -> None:
        self._engine = engine
        self._fired: dict[str, dict[str, Any]] = {}
        self._totals = {"delivered": 0, "discarded": 0}
        self._firings = Counter("edgeyard_trigger_firings", "Firings of rules", ["rule"], registry=registry)
        self._attempts = Counter(
            "edgeyard_trigger_attempts",
            "Attempts to carry out an action",
            ["rule", "action", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "edgeyard_trigger_attempt_seconds",
            "How long attempts took",
            ["action"],
            buckets=ATTEMPT_BUCKETS_S,
            registry=registry,
        )
        self._discarded = Counter("edgeyard_trigger_discarded", "Parked deliveries dropped for room", registry=registry)
        for name, place in (("waiting", 0), ("parked", 1)):
            gauge = Gauge(f"edgeyard_trigger_{name}", f"Deliveries that are {name}", registry=registry)
            gauge.set_function(lambda place=place: float(outbox.counts()[place]))  # type: ignore[misc]
        refused = Gauge(
            "edgeyard_trigger_series_refused", "Messages for which a rule had too many series", registry=registry
        )
        refused.set_function(lambda: float(engine.refused))

    def fired(self, firing: Firing) -> None:
        self._firings.labels(firing.rule).inc()
        before = self._fired.get(firing.rule, {"fired": 0})
        self._fired[firing.rule] = {"fired": before["fired"] + 1, "lastFiredAt": iso(firing.at), "lastKey": firing.key}

    def attempted(self, lane: Lane, outcome: str, seconds: float) -> None:
        self._attempts.labels(lane.rule, lane.action, outcome).inc()
        self._seconds.labels(lane.action).observe(seconds)
        if outcome == "delivered":
            self._totals["delivered"] += 1

    def discarded(self, count: int) -> None:
        self._discarded.inc(count)
        self._totals["discarded"] += count

    def totals(self) -> dict[str, int]:
        """Deliveries made, and dropped for room, since the start."""
        return dict(self._totals)

    def firings(self) -> dict[str, dict[str, Any]]:
        """By rule in force: how often and when it fired since the start, and how many of its series are raised."""
        return {
            rule: {**self._fired.get(rule, {"fired": 0}), "raised": raised}
            for rule, raised in self._engine.raised().items()
        }
