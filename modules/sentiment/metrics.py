"""What the sentiment module counts, for Prometheus and for its reported properties."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modules.sentiment.breaker import State

__all__ = ["SentimentMetrics"]

OUTCOMES = ("positive", "neutral", "negative", "mixed", "errors", "dropped")
BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0)
PREFIX = "edgeyard_sentiment"


class SentimentMetrics:
    """Counts since the start; `registry` is the module's."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._counts: dict[str, int] = {"messages": 0, **dict.fromkeys(OUTCOMES, 0), "held": 0}
        self._texts = Counter(f"{PREFIX}_texts", "Texts by what became of them", ["outcome"], registry=registry)
        self._held = Counter(f"{PREFIX}_held", "Messages left with the edge hub: no room on disk", registry=registry)
        self._requests = Counter(
            f"{PREFIX}_requests", "Requests to the container by outcome", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds", "Time of requests to the container", buckets=BUCKETS_S, registry=registry
        )
        self.waiting = Gauge(f"{PREFIX}_waiting_texts", "Texts that wait on disk", registry=registry)
        self.waiting_bytes = Gauge(f"{PREFIX}_waiting_bytes", "Bytes that they have", registry=registry)
        self._breaker = Gauge(f"{PREFIX}_breaker", "1 for the breaker's state", ["state"], registry=registry)
        self.breaker(State.CLOSED)

    def message(self) -> None:
        """A message came."""
        self._counts["messages"] += 1

    def text(self, outcome: str) -> None:
        """A text left: with a sentiment, or as one of errors, dropped."""
        self._counts[outcome] += 1
        self._texts.labels(outcome).inc()

    def held(self) -> None:
        """A message was left with the edge hub."""
        self._counts["held"] += 1
        self._held.inc()

    def request(self, outcome: str, seconds: float) -> None:
        """A request ended: answered, refused or unavailable."""
        self._requests.labels(outcome).inc()
        self._seconds.observe(seconds)

    def breaker(self, state: State) -> None:
        """The breaker entered this state."""
        for each in State:
            self._breaker.labels(each.value).set(float(each is state))

    def reported(self) -> dict[str, Any]:
        """The counts for the twin."""
        return dict(self._counts)
