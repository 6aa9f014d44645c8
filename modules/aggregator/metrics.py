"""The aggregator's own metrics: the engine's counts, which outlive a restart, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modules.aggregator.aggregator import Aggregator
from modules.aggregator.sender import Sender

__all__ = ["AggregatorMetrics"]

PREFIX = "edgeyard_aggregator_"
OF_DEFINITIONS = {
    "records": "Records that met the condition",
    "results": "Results of windows",
    "corrections": "Results that supersede another",
    "late": "Records that came for a window that is kept no longer",
    "ahead": "Records refused because their time is too far in the future",
    "unreadable": "Records refused because of their time or group",
    "refused": "Records refused because of the limit of groups or windows",
    "unusable_values": "Values left out because of their type",
    "fallback_times": "Records without the time that the definition names",
    "discarded": "Open windows dropped because the definition changed",
}
OF_INTAKE = {
    "messages": "Messages taken",
    "duplicates": "Messages with an id that had come before",
    "unreadable": "Messages whose body is no JSON object or array of objects",
    "discarded": "Open windows of definitions that were removed",
    "failures": "Records that a definition failed on",
}


class AggregatorMetrics(Collector):
    """Register it: `registry.register(AggregatorMetrics(…))`."""

    def __init__(self, aggregator: Aggregator, sender: Sender) -> None:
        self._aggregator = aggregator
        self._sender = sender

    def collect(self) -> Iterator[Metric]:
        engine = self._aggregator.engine
        for name, text in OF_INTAKE.items():
            yield CounterMetricFamily(f"{PREFIX}intake_{name}", text, value=getattr(engine.intake, name))
        for name, text in OF_DEFINITIONS.items():
            counter = CounterMetricFamily(f"{PREFIX}{name}", text, labels=["definition"])
            for aggregation in engine.aggregations.values():
                counter.add_metric([aggregation.name], getattr(aggregation.counts, name))
            yield counter
        yield from self._sizes()

    def _sizes(self) -> Iterator[Metric]:
        groups = GaugeMetricFamily(f"{PREFIX}groups", "Groups of which a window is kept", labels=["definition"])
        windows = GaugeMetricFamily(f"{PREFIX}open_windows", "Windows that have not closed", labels=["definition"])
        for aggregation in self._aggregator.engine.aggregations.values():
            groups.add_metric([aggregation.name], aggregation.groups)
            windows.add_metric([aggregation.name], aggregation.open_windows)
        yield groups
        yield windows
        yield GaugeMetricFamily(f"{PREFIX}unsent", "Emissions not acknowledged yet", value=len(self._aggregator.outbox))
        yield CounterMetricFamily(f"{PREFIX}unsendable", "Emissions the edge hub refused", value=self._sender.refused)
