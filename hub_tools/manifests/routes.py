"""Routes of the edge hub built from objects, or from their text.

    Route("toScorer", sensor.output("temperature") >> scorer.input("telemetry"))
    Route("hot", (sensor.output("temperature") >> upstream).where("temperature > 30"), priority=0)

Source: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.routing import compile_route

__all__ = ["Input", "Path", "Route", "Source", "Upstream", "upstream"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """IoT Hub, or the parent edge device."""

    def __str__(self) -> str:
        return "$upstream"


upstream = Upstream()


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f'BrokeredEndpoint("/modules/{self.module}/inputs/{self.name}")'


@dataclass(frozen=True, slots=True)
class Source:
    """Where messages come from, as a route names it: "/messages/modules/scorer/outputs/scores", "/messages/*"."""

    path: str

    def __rshift__(self, sink: Input | Upstream) -> Path:
        return Path(self, sink)


@dataclass(frozen=True, slots=True)
class Path:
    """A source, a sink, and the condition that a message has to meet ("" for all)."""

    source: Source
    sink: Input | Upstream
    condition: str = ""

    def where(self, condition: str) -> Path:
        """The same for messages that meet a condition of the route language."""
        return replace(self, condition=condition)

    def __str__(self) -> str:
        where = f" WHERE {self.condition}" if self.condition else ""
        return f"FROM {self.source.path}{where} INTO {self.sink}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route by name: a path or its text, a priority 0 (most urgent) to 9, and a time to live in seconds."""

    name: str
    path: Path | str
    priority: int | None = None
    ttl_s: int | None = None
    as_object: bool = False
    """Whether a route without priority and time to live is written as an object all the same."""

    @property
    def text(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """Raises RouteError when the route does not compile."""
        compile_route(self.text)

    def to_json(self) -> str | JsonObject:
        """As $edgeHub's desired properties hold it: text where that says it all."""
        limits = {"priority": self.priority, "timeToLiveSecs": self.ttl_s}
        given = {name: value for name, value in limits.items() if value is not None}
        return {"route": self.text, **given} if given or self.as_object else self.text

    @classmethod
    def from_json(cls, name: str, value: Any) -> Route:
        """The reverse of `to_json`; raises ManifestError."""
        if isinstance(value, str):
            return cls(name, value)
        if not isinstance(value, dict) or not isinstance(value.get("route"), str):
            raise ManifestError("must be the text of a route, or an object with 'route'", path=f"routes.{name}")
        return cls(name, value["route"], value.get("priority"), value.get("timeToLiveSecs"), as_object=True)
