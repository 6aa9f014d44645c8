"""What the scorer counts about telemetry, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modules.scorer.telemetry import TelemetryScorer

__all__ = ["TelemetryMetrics"]


class TelemetryMetrics(Collector):
    """Reads the counts of a TelemetryScorer when metrics are asked for."""

    def __init__(self, telemetry: TelemetryScorer) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        counts, detector = self._telemetry.counts, self._telemetry.detector
        for name, text, value in (
            ("scored", "Values judged, those of series still too short among them", counts.scored),
            ("anomalies", "Values flagged", counts.anomalies),
            ("history", "Values taken into a window without being judged", counts.history),
            ("telemetry_errors", "Messages that could not be scored", counts.errors),
            ("series_forgotten", "Series that gave way to others", detector.forgotten),
        ):
            yield CounterMetricFamily(f"edgeyard_scorer_{name}", text, value=value)
        yield GaugeMetricFamily("edgeyard_scorer_series", "Series remembered", value=len(detector))
