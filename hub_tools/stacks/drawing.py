"""A stack's graph as an SVG picture.

Each deployment is a band, the base at the bottom; its modules stand in columns by how far they are from where messages
come from, so that routes go from left to right, to the hub. Routes run between the columns on tracks of their own, and
past columns on lanes of their own at the foot of a band, so that no line runs through a box and no two share a way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from hub_tools.stacks.graph import Box, Edge, Graph, Row

__all__ = ["svg"]

MARGIN, GAP, PANEL, TITLE = 24, 14, 250, 56
CHARACTER = 8.2
"""Width of a character at most, in the sizes used for names, also in wide fonts."""
PORT, LANE, TRACK = 22, 20, 12
CONDITION_CHARACTERS = 34
IMAGE_CHARACTERS = 34
_FILLS = {"base": "#e8f1fb", "layer": "#f3effb", "": "#f4f4f4"}
_STROKES = {"base": "#5b8fc7", "layer": "#8a70c4", "": "#999999"}
_LINES = ("#2f6db3", "#b3532f", "#2f8f5b", "#8a4fb0", "#b08a1e", "#2f8f9b", "#a83a6b", "#5c6b2f")

Key = tuple[str, str]


@dataclass(kw_only=True)
class _Placed:
    x: float
    y: float
    width: float
    height: float


def svg(graph: Graph) -> str:
    """The picture as text, without references to anything outside of it."""
    return _Drawing(graph).text()


class _Drawing:
    def __init__(self, graph: Graph) -> None:
        self._title = graph.title
        self._rows = tuple(reversed(graph.rows))
        self._edges = graph.edges
        self._boxes = {box.key: box for row in graph.rows for box in row.boxes}
        self._column = _columns(self._boxes, graph.edges)
        self._hub_column = max(self._column.values(), default=0) + 1
        self._outputs: dict[Key, list[Edge]] = defaultdict(list)
        self._inputs: dict[Key, list[Edge]] = defaultdict(list)
        self._lanes: dict[str, list[Edge]] = defaultdict(list)
        self._tracks: dict[int, list[tuple[Edge, str]]] = defaultdict(list)
        for edge in self._edges:
            self._file(edge)
        self._places: dict[Key, _Placed] = {}
        self._bands: dict[str, _Placed] = {}
        self._column_x, self._gutter_x, self._width = self._horizontally()
        self._height = self._vertically()

    def text(self) -> str:
        width, height = round(self._width), round(self._height)
        style = (
            "text{font-family:Helvetica,Arial,sans-serif}.m{font-family:Menlo,Consolas,monospace}"
            ".l{paint-order:stroke;stroke:#fff;stroke-width:3px}"
        )
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(self._title)}</title><style>{style}</style><defs>",
            *(_marker(number) for number in range(len(_LINES))),
            f'</defs><rect width="{width}" height="{height}" fill="#ffffff"/>',
            _words(MARGIN, MARGIN + 18, self._title, size=18, bold=True),
            *(part for row in self._rows for part in self._band(row)),
            *self._hub(),
            *(self._box(box) for box in self._boxes.values()),
            *(part for edge in self._edges for part in self._line(edge)),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _file(self, edge: Edge) -> None:
        """Give the edge its ports, tracks and lane, by their order in lists."""
        start, end = self._column[edge.source], self._end_column(edge)
        self._outputs[edge.source].append(edge)
        self._tracks[start].append((edge, "out"))
        if edge.sink is not None:
            self._inputs[edge.sink].append(edge)
        if self._is_long(edge):
            self._lanes[edge.source[0]].append(edge)
            if edge.sink is not None:
                self._tracks[end - 1].append((edge, "in"))

    def _end_column(self, edge: Edge) -> int:
        return self._hub_column if edge.sink is None else self._column[edge.sink]

    def _is_long(self, edge: Edge) -> bool:
        """Whether it cannot go straight from its column into the next."""
        return self._end_column(edge) != self._column[edge.source] + 1

    def _horizontally(self) -> tuple[dict[int, float], dict[int, float], float]:
        columns: dict[int, float] = {}
        gutters: dict[int, float] = {}
        x: float = MARGIN + PANEL
        for column in range(-1, self._hub_column):
            if column >= 0:
                columns[column] = x
                x += self._box_width(column)
            gutters[column] = x
            x += self._gutter_width(column)
        columns[self._hub_column] = x
        hub = 96 if any(edge.sink is None for edge in self._edges) else 0
        return columns, gutters, x + hub + MARGIN

    def _box_width(self, column: int) -> float:
        texts = [
            text for box in self._boxes.values() if self._column[box.key] == column for text in (box.name, _image(box))
        ]
        return 28 + CHARACTER * max(map(len, texts), default=4)

    def _gutter_width(self, column: int) -> float:
        labels = [len(edge.name) for edge in self._edges if self._end_column(edge) == column + 1]
        if not self._tracks[column] and not labels:
            return 0 if column < 0 else 16
        return TRACK * (len(self._tracks[column]) + 1) + CHARACTER * max(labels, default=0) + 24

    def _vertically(self) -> float:
        y: float = MARGIN + TITLE
        for row in self._rows:
            foot = LANE * len(self._lanes[row.name])
            content = self._stack(row, y + GAP)
            height = max(content + foot + 2 * GAP, _panel_height(row))
            self._bands[row.name] = _Placed(
                x=MARGIN, y=y, width=self._column_x[self._hub_column] - MARGIN - 8, height=height
            )
            y += height + GAP
        return y - GAP + MARGIN

    def _stack(self, row: Row, top: float) -> float:
        """Place the boxes of a band below each other in their columns; how high they are."""
        heights: dict[int, float] = defaultdict(float)
        for box in row.boxes:
            column = self._column[box.key]
            ports = max(len(self._outputs[box.key]), len(self._inputs[box.key]), 1)
            height = PORT * max(3, ports + 1)
            self._places[box.key] = _Placed(
                x=self._column_x[column], y=top + heights[column], width=self._box_width(column), height=height
            )
            heights[column] += height + PORT
        return max((height - PORT for height in heights.values()), default=0)

    def _band(self, row: Row) -> Iterator[str]:
        place = self._bands[row.name]
        yield _rectangle(place, fill=_FILLS[row.kind], stroke=_STROKES[row.kind], radius=10)
        x, y = MARGIN + 16, place.y + 26
        yield _words(x, y, row.name, size=15, bold=True)
        for line, mono in _panel_lines(row):
            y += 18
            yield _words(x, y, line, size=11 if mono else 12, css="m" if mono else "", fill="#444444")

    def _hub(self) -> Iterator[str]:
        if any(edge.sink is None for edge in self._edges):
            top = MARGIN + TITLE
            place = _Placed(x=self._column_x[self._hub_column], y=top, width=96, height=self._height - MARGIN - top)
            yield _rectangle(place, fill="#fff6e5", stroke="#c98a1b", radius=10)
            yield _words(place.x + 48, place.y + 28, "IoT Hub", size=14, bold=True, anchor="middle")

    def _box(self, box: Box) -> str:
        place = self._places[box.key]
        middle, center = place.x + place.width / 2, place.y + place.height / 2
        dash = ' stroke-dasharray="6 4"' if box.replaces else ""
        parts = [_rectangle(place, fill="#ffffff", stroke="#333333", radius=6, more=dash)]
        parts.append(
            _words(middle, center - 1 if box.image else center + 5, box.name, size=13, bold=True, anchor="middle")
        )
        if box.image:
            parts.append(_words(middle, center + 15, _image(box), size=11, anchor="middle", fill="#666666"))
        return "".join(parts)

    def _line(self, edge: Edge) -> Iterator[str]:
        number = list(self._outputs).index(edge.source) % len(_LINES)
        points = self._points(edge)
        yield (
            f'<path d="{_rounded(points)}" fill="none" stroke="{_LINES[number]}" stroke-width="1.6" '
            f'marker-end="url(#a{number})"/>'
        )
        x, y = points[-1]
        yield _words(x - 14, y - 5, edge.name, size=12, anchor="end", fill=_LINES[number], css="l")

    def _points(self, edge: Edge) -> list[tuple[float, float]]:
        source = self._places[edge.source]
        start = source.x + source.width, source.y + PORT * (self._outputs[edge.source].index(edge) + 1)
        track = self._track(self._column[edge.source], edge, "out")
        end = self._end(edge, start[1])
        points = [start, (track, start[1])]
        if self._is_long(edge):
            lane = self._lane(edge)
            points.append((track, lane))
            if edge.sink is not None:
                last = self._track(self._column[edge.sink] - 1, edge, "in")
                points += [(last, lane), (last, end[1])]
        else:
            points.append((track, end[1]))
        return [*points, end]

    def _end(self, edge: Edge, start_y: float) -> tuple[float, float]:
        if edge.sink is None:
            y = self._lane(edge) if self._is_long(edge) else start_y
            return self._column_x[self._hub_column], y
        place = self._places[edge.sink]
        # Between the heights at which lines leave boxes of the same band, so that none lies on another.
        return place.x, place.y + PORT * (self._inputs[edge.sink].index(edge) + 1) + PORT / 2 - 2

    def _lane(self, edge: Edge) -> float:
        band = self._bands[edge.source[0]]
        lanes = self._lanes[edge.source[0]]
        return band.y + band.height - LANE * (len(lanes) - lanes.index(edge)) + 4

    def _track(self, gutter: int, edge: Edge, side: str) -> float:
        return self._gutter_x[gutter] + TRACK * (self._tracks[gutter].index((edge, side)) + 1)


def _columns(boxes: dict[Key, Box], edges: tuple[Edge, ...]) -> dict[Key, int]:
    """How many routes lie before a box at most; a route that closes a circle does not count."""
    before: dict[Key, list[Key]] = defaultdict(list)
    for edge in edges:
        if edge.sink is not None:
            before[edge.sink].append(edge.source)
    known: dict[Key, int] = {}

    def depth(key: Key, under_way: frozenset[Key]) -> int:
        if key not in known:
            earlier = [source for source in before[key] if source not in under_way]
            known[key] = max((depth(source, under_way | {source}) + 1 for source in earlier), default=0)
        return known[key]

    for key in boxes:
        depth(key, frozenset({key}))
    names = {box.name: 0 for box in boxes.values()}
    for key in boxes:
        names[key[1]] = max(names[key[1]], known[key])
    return {key: names[key[1]] for key in boxes}


def _panel_lines(row: Row) -> list[tuple[str, bool]]:
    lines = [] if row.priority is None else [(f"{row.kind}, priority {row.priority}", False)]
    if row.devices is not None:
        lines.append((f"{row.devices:,} devices", False))
    if row.kind and not row.boxes:
        lines.append(("settings only", False))
    return lines + [(line, True) for line in wrap(row.condition, CONDITION_CHARACTERS)]


def _panel_height(row: Row) -> float:
    return 26 + 18 * len(_panel_lines(row)) + 14


def _image(box: Box) -> str:
    text = box.image.rpartition("/")[2]
    return text if len(text) <= IMAGE_CHARACTERS else f"{text[: IMAGE_CHARACTERS - 1]}…"


def _rectangle(place: _Placed, *, fill: str, stroke: str, radius: int, more: str = "") -> str:
    return (
        f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" '
        f'rx="{radius}" fill="{fill}" stroke="{stroke}"{more}/>'
    )


def _words(
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    bold: bool = False,
    css: str = "",
    anchor: str = "start",
    fill: str = "#111111",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    named = f' class="{css}"' if css else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"'
        f"{weight}{named}>{escape(text)}</text>"
    )


def _marker(number: int) -> str:
    return (
        f'<marker id="a{number}" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path d="M0,0 L9,4 L0,8 z" fill="{_LINES[number]}"/></marker>'
    )


def _rounded(points: list[tuple[float, float]]) -> str:
    """A path along the points, which are joined at right angles, with round corners."""
    path = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(6.0, _distance(before, corner) / 2, _distance(corner, after) / 2)
        (ax, ay), (bx, by) = _towards(corner, before, radius), _towards(corner, after, radius)
        path.append(f"L{ax:.1f},{ay:.1f} Q{corner[0]:.1f},{corner[1]:.1f} {bx:.1f},{by:.1f}")
    path.append(f"L{points[-1][0]:.1f},{points[-1][1]:.1f}")
    return " ".join(path)


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: tuple[float, float], end: tuple[float, float], length: float) -> tuple[float, float]:
    whole = _distance(start, end) or 1.0
    share = length / whole
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
