"""What the scorer counts about requests, as Prometheus metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["ScorerMetrics"]

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""From a tiny model to a slow entry script."""
OTHER = "other"
"""The label of models that there are not: names in paths must not make metrics without end."""


class ScorerMetrics:
    """Requests, failures and times by model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "edgeyard_scorer_requests", "Scoring requests answered", ["model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "edgeyard_scorer_request_seconds",
            "Seconds from a request's last byte to its answer",
            ["model"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._refused = Counter(
            "edgeyard_scorer_refused", "Requests refused before their body was read", ["status"], registry=registry
        )
        self._loaded = Gauge("edgeyard_scorer_models", "Models by status", ["status"], registry=registry)
        self._models: frozenset[str] = frozenset()
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}

    def served(self, statuses: dict[str, str]) -> None:
        """The models that there are, and the status of each."""
        self._models = frozenset(statuses)
        self._loaded.clear()
        for status in statuses.values():
            self._loaded.labels(status).inc()

    def answered(self, model: str, status: int, seconds: float) -> None:
        """A scoring request was answered."""
        name = model if model in self._models else OTHER
        children = self._children.get((name, status))
        if children is None:
            children = self._requests.labels(name, str(status)), self._seconds.labels(name)
            self._children[name, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def refused(self, status: int) -> None:
        """A request was refused by its head."""
        self._refused.labels(str(status)).inc()
