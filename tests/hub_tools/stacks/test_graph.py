"""Graphs of stacks: what they hold, and that nothing in the picture lies over another."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from hub_tools.manifests import Deployment, Layer, Module, Route, upstream
from hub_tools.stacks.drawing import svg
from hub_tools.stacks.graph import Graph, graph_of, mermaid

SENSOR, SCORER = Module(name="sensor", image="acme/sensor:1"), Module(name="scorer", image="acme/scorer:1")
BASE = Deployment(
    name="base", target="*", priority=10, modules=[SENSOR], routes=[Route("up", SENSOR.output("*") >> upstream)]
)
SCORING = Layer(
    name="scoring",
    target="tags.a = 'b' AND tags.c < 3",
    priority=20,
    modules=[SCORER],
    routes=[Route("in", SENSOR.output("t") >> SCORER.input("i")), Route("out", SCORER.output("o") >> upstream)],
)
NAMES = st.sampled_from([f"module{n}" for n in range(6)])


def drawn(*items: Deployment | Layer) -> Graph:
    return graph_of("fleet · dev", items, {"base": 12})


def test_routes_lead_to_the_modules_of_whatever_deployment_has_them() -> None:
    graph = drawn(SCORING, BASE)
    assert [(edge.name, edge.source, edge.sink) for edge in graph.edges] == [
        ("up", ("base", "sensor"), None),
        ("in", ("base", "sensor"), ("scoring", "scorer")),
        ("out", ("scoring", "scorer"), None),
    ]
    assert [row.devices for row in graph.rows] == [12, None]


def test_a_module_of_a_layer_may_replace_one_below_or_be_of_another_stack() -> None:
    gpu = Layer(
        name="gpu", priority=30, modules=[SCORER], routes=[Route("r", "FROM /messages/modules/x/* INTO $upstream")]
    )
    graph = drawn(BASE, SCORING, gpu)
    boxes = {box.key: box.replaces for row in graph.rows for box in row.boxes}
    assert boxes[("gpu", "scorer")]
    assert not boxes[("scoring", "scorer")]
    assert ("elsewhere", "x") in boxes


def test_mermaid_names_rows_devices_modules_and_routes() -> None:
    text = mermaid(drawn(BASE, SCORING))
    assert 'subgraph g0["base · base 10"]' in text
    assert 'd0(["*<br/>12 devices"]) -.-> g0' in text
    assert 'm0 -->|"in"| m1' in text
    assert 'm1 -->|"out"| hub' in text
    assert "tags.c &lt; 3" in text


def test_the_picture_holds_every_name_and_is_xml() -> None:
    text = svg(drawn(BASE, SCORING))
    root = ElementTree.fromstring(text)
    words = {element.text for element in root.iter() if element.text}
    assert {"sensor", "scorer", "in", "out", "up", "IoT Hub", "12 devices", "layer, priority 20"} <= words
    assert "tags.c < 3" in " ".join(words)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A base and two layers with modules and routes between any of them, circles included."""
    items: list[Deployment | Layer] = []
    for number, kind in enumerate((Deployment, Layer, Layer)):
        modules = [Module(name=name, image="a:1") for name in sorted(draw(st.sets(NAMES, max_size=4)))]
        pairs = draw(st.lists(st.tuples(NAMES, st.none() | NAMES), max_size=5))
        routes = [
            Route(
                f"r{number}{n}",
                Module(name=a, image="").output("o") >> (Module(name=b, image="").input("i") if b else upstream),
            )
            for n, (a, b) in enumerate(pairs)
        ]
        items.append(kind(name=f"row{number}", priority=10 * number, modules=modules, routes=routes, target="*"))
    return graph_of("any", items)


@given(graphs())
def test_no_box_lies_over_another_and_no_line_runs_through_one(graph: Graph) -> None:
    root = ElementTree.fromstring(svg(graph))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in root.iter(f"{space}rect")
        if rect.get("rx") == "6"
    ]
    assert len(boxes) == sum(len(row.boxes) for row in graph.rows)
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    lines = [path.attrib["d"] for path in root.iter(f"{space}path") if path.get("marker-end")]
    assert len(lines) == len(graph.edges)
    for line in lines:
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", line)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        for (px, py), (qx, qy) in pairwise(points):
            for x, y, width, height in boxes:
                outside = max(px, qx) <= x or min(px, qx) >= x + width or max(py, qy) <= y or min(py, qy) >= y + height
                assert outside


@given(graphs())
def test_no_two_lines_share_a_way(graph: Graph) -> None:
    root = ElementTree.fromstring(svg(graph))
    ways: list[tuple[int, float, float, float]] = []
    for number, path in enumerate(p for p in root.iter("{http://www.w3.org/2000/svg}path") if p.get("marker-end")):
        numbers = [float(found) for found in re.findall(r"-?\d+\.\d+", path.attrib["d"])]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        ways += [(number, py, min(px, qx), max(px, qx)) for (px, py), (qx, qy) in pairwise(points) if py == qy]
    for (one, ay, afrom, ato), (other, by, bfrom, bto) in combinations(ways, 2):
        assert one == other or abs(ay - by) > 1 or ato <= bfrom or bto <= afrom
