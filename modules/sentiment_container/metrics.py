"""The stand-in's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

__all__ = ["ContainerMetrics"]

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class ContainerMetrics:
    """Requests by version and status, their times, and documents by outcome, on `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "edgeyard_sentiment_container_requests",
            "Requests by API version and HTTP status",
            ["version", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "edgeyard_sentiment_container_seconds",
            "From the head of a request to its answer",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._documents = Counter(
            "edgeyard_sentiment_container_documents",
            "Documents judged, and those that got an error of their own",
            ["outcome"],
            registry=self.registry,
        )

    def answered(self, version: str, status: int, seconds: float) -> None:
        """One request has its answer."""
        self._requests.labels(version, str(status)).inc()
        self._seconds.observe(seconds)

    def documents(self, judged: int, refused: int) -> None:
        """The documents of one request."""
        self._documents.labels("judged").inc(judged)
        self._documents.labels("refused").inc(refused)
