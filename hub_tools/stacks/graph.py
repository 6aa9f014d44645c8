"""A stack as a graph: devices, the deployments for them, modules, and the routes between these; and as Mermaid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hub_tools.manifests import Deployment, Layer, Route

__all__ = ["HUB", "Box", "Edge", "Graph", "Row", "graph_of", "mermaid"]

HUB = "$upstream"
_SOURCE = re.compile(r"FROM\s+/messages/modules/([^/\s]+)", re.IGNORECASE)
_SINK = re.compile(r"INTO\s+BrokeredEndpoint\(\s*[\"']/modules/([^/]+)/inputs/", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A module as one deployment has it; `image` is "" for one that is declared elsewhere or is no module."""

    row: str
    name: str
    image: str = ""
    replaces: bool = False
    """Whether a deployment below has it already."""

    @property
    def key(self) -> tuple[str, str]:
        return self.row, self.name


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A route; `sink` None is the hub. Ends are keys of boxes."""

    name: str
    source: tuple[str, str]
    sink: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A deployment or layer with its boxes; `devices` is how many it targets, None where that was not asked."""

    name: str
    kind: str
    priority: int | None
    condition: str
    devices: int | None
    boxes: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Rows by priority, the lowest first, and the routes between their boxes."""

    title: str
    rows: tuple[Row, ...]
    edges: tuple[Edge, ...]


def graph_of(title: str, items: Iterable[Deployment | Layer], targeted: Mapping[str, int] | None = None) -> Graph:
    """The graph of what a stack declares. A route leads to the box of its own deployment, else to the lowest one."""
    ranked = sorted(items, key=lambda item: item.priority)
    return _Builder(title, ranked, targeted or {}).graph()


class _Builder:
    def __init__(self, title: str, ranked: list[Deployment | Layer], targeted: Mapping[str, int]) -> None:
        self._title, self._ranked, self._targeted = title, ranked, targeted
        self._lowest: dict[str, str] = {}
        self._boxes: dict[str, dict[str, Box]] = {item.name: {} for item in ranked}
        self._elsewhere: dict[str, Box] = {}

    def graph(self) -> Graph:
        for item in self._ranked:
            for module in item.modules:
                replaces = module.name in self._lowest
                self._boxes[item.name][module.name] = Box(
                    row=item.name, name=module.name, image=module.image, replaces=replaces
                )
                self._lowest.setdefault(module.name, item.name)
        edges = tuple(self._edge(item, route) for item in self._ranked for route in item.routes)
        rows = [self._row(item) for item in self._ranked]
        if self._elsewhere:
            boxes = tuple(self._elsewhere.values())
            rows.append(Row(name="elsewhere", kind="", priority=None, condition="", devices=None, boxes=boxes))
        return Graph(title=self._title, rows=tuple(rows), edges=edges)

    def _row(self, item: Deployment | Layer) -> Row:
        return Row(
            name=item.name,
            kind="base" if isinstance(item, Deployment) else "layer",
            priority=item.priority,
            condition=item.condition,
            devices=self._targeted.get(item.name),
            boxes=tuple(self._boxes[item.name].values()),
        )

    def _edge(self, item: Deployment | Layer, route: Route) -> Edge:
        source, sink = _SOURCE.search(route.text), _SINK.search(route.text)
        start = self._box(item.name, source[1]) if source and source[1] != "*" else self._any(item.name)
        end = self._box(item.name, sink[1]).key if sink else None
        return Edge(name=route.name, source=start.key, sink=end)

    def _box(self, row: str, module: str) -> Box:
        if module in self._boxes[row]:
            return self._boxes[row][module]
        if module in self._lowest:
            return self._boxes[self._lowest[module]][module]
        return self._elsewhere.setdefault(module, Box(row="elsewhere", name=module))

    def _any(self, row: str) -> Box:
        return self._boxes[row].setdefault("all messages", Box(row=row, name="all messages"))


def mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield "flowchart LR"
    ids = {box.key: f"m{number}" for number, box in enumerate(box for row in graph.rows for box in row.boxes)}
    for number, row in enumerate(graph.rows):
        rank = "" if row.priority is None else f" · {row.kind} {row.priority}"
        yield f'  subgraph g{number}["{_quoted(row.name + rank)}"]'
        for box in row.boxes:
            yield f'    {ids[box.key]}["{_quoted(box.name)}"]'
        if not row.boxes:
            yield f'    s{number}["settings only"]'
        yield "  end"
        if row.condition:
            count = "" if row.devices is None else f"<br/>{row.devices:,} devices"
            yield f'  d{number}(["{_quoted(row.condition)}{count}"]) -.-> g{number}'
    if any(edge.sink is None for edge in graph.edges):
        yield '  hub[("IoT Hub")]'
    for edge in graph.edges:
        end = "hub" if edge.sink is None else ids[edge.sink]
        yield f'  {ids[edge.source]} -->|"{_quoted(edge.name)}"| {end}'


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
