# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["onnx==1.22.0", "numpy==2.4.6"]
# ///
"""Writes anomaly.onnx: `python build_anomaly.py [--window 336] [--out FOLDER]`. Nothing is trained, it is arithmetic.

`window` [N, W] float32, oldest value first → `score` [N] float32 in 0..1: how unusual the last value of each window is,
judged by the rest of that window alone. The window is standardised by the values before the last; three views of it
follow, each with a rank (the share of the window's own history that was less unusual) and a size (in units of it):

    gaussian   distance from the mean, in standard deviations
    ewma       distance from the exponentially weighted mean of the values just before, against its usual error
    profile    left matrix profile: distance of the last day from the most similar earlier day, against its usual size

    score = mean of the three ranks * mean of the three (1 - exp(-size / typical size))

The rank alone would give each new record the highest score; the size alone would follow the noisiest view.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 336  # values: two weeks by the hour, so that each hour of the day and of the week has been seen
SUBSEQUENCE = 24  # values that the matrix profile compares: one day by the hour
EXCLUSION = SUBSEQUENCE // 2  # neighbours nearer than this share most of their values with the query
STRIDE = 3  # every third subsequence stands for the profile's usual size: a third of the work
SMOOTHING = 0.25  # weight of the newest value in the exponentially weighted mean
MEMORY = 32  # values in that mean: what is older weighs less than 0.01 %
TYPICAL_GAUSSIAN, TYPICAL_EWMA, TYPICAL_PROFILE = 2.0, 3.0, 1.5
"""Sizes at which a view counts 63 % of what it can; chosen on the development half of NAB (anomaly.md)."""
FLOOR_DEVIATION = 1e-6  # keeps a constant window from dividing by zero, relative to the mean's own size
FLOOR_EWMA, FLOOR_PROFILE = 1e-3, 0.05  # in standard deviations of the window: below that an error is rounding
FAR = 1e9  # a squared distance that no neighbour has
OPSET = 17
IR_VERSION = 8  # what goes with opset 17; onnx would write its own newest, which older runtimes refuse


class Graph:
    """Collects nodes and constants; every call returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def between(self, value: str, start: int, end: int, axis: int = 1, step: int = 1) -> str:
        bounds = (self.constant([bound], np.int64) for bound in (start, end, axis, step))
        return self.add("Slice", value, *bounds)

    def mean(self, value: str, *, keep: int = 0, axis: int = 1) -> str:
        return self.add("ReduceMean", value, axes=[axis], keepdims=keep)

    def rank(self, history: str, last: str) -> str:
        """The share of `history` [N, K] that is less than `last` [N, 1], as [N, 1]."""
        return self.mean(self.add("Cast", self.add("Less", history, last), to=1), keep=1)

    def flat(self, value: str) -> str:
        """[N, 1, K] → [N, K]."""
        return self.add("Squeeze", value, self.constant([1], np.int64))


View = tuple[str, str, float]
"""Names of a rank and a size, each [N, 1], and the typical size."""


def standardised(graph: Graph, window: str, length: int) -> str:
    """The window minus the mean, over the standard deviation, of all its values but the last."""
    history = graph.between(window, 0, length - 1)
    mean = graph.mean(history, keep=1)
    spread = graph.add("Sub", history, mean)
    deviation = graph.add("Sqrt", graph.mean(graph.add("Mul", spread, spread), keep=1))
    floor = graph.add(
        "Mul", graph.add("Add", graph.add("Abs", mean), graph.constant(1.0)), graph.constant(FLOOR_DEVIATION)
    )
    return graph.add("Div", graph.add("Sub", window, mean), graph.add("Add", deviation, floor))


def gaussian_view(graph: Graph, values: str, length: int) -> View:
    distances = graph.add("Abs", values)
    last = graph.between(distances, length - 1, length)
    return graph.rank(graph.between(distances, 0, length - 1), last), last, TYPICAL_GAUSSIAN


def ewma_view(graph: Graph, values: str, length: int) -> View:
    weights = SMOOTHING * (1 - SMOOTHING) ** np.arange(MEMORY)
    kernel = np.concatenate([-(weights / weights.sum())[::-1], [1.0]]).reshape(1, 1, MEMORY + 1)
    channel = graph.add("Unsqueeze", values, graph.constant([1], np.int64))
    errors = graph.flat(graph.add("Abs", graph.add("Conv", channel, graph.constant(kernel))))
    count = length - MEMORY
    last, history = graph.between(errors, count - 1, count), graph.between(errors, 0, count - 1)
    usual = graph.add("Add", graph.mean(history, keep=1), graph.constant(FLOOR_EWMA))
    return graph.rank(history, last), graph.add("Div", last, usual), TYPICAL_EWMA


def profile_view(graph: Graph, values: str, length: int) -> View:
    """Left matrix profile of the later two thirds of the window (the first third has too few neighbours before it)."""
    count = length - SUBSEQUENCE + 1
    first = count - 1 - (count - 1 - count // 3) // STRIDE * STRIDE  # so that the last one is among them
    queried = (count - 1 - first) // STRIDE + 1
    channel = graph.add("Unsqueeze", values, graph.constant([1], np.int64))
    sliding = graph.add("Conv", channel, graph.constant(np.eye(SUBSEQUENCE).reshape(SUBSEQUENCE, 1, SUBSEQUENCE)))
    centred = graph.add("Sub", sliding, graph.mean(sliding, keep=1))  # [N, SUBSEQUENCE, count]
    squares = graph.add("ReduceSum", graph.add("Mul", centred, centred), graph.constant([1], np.int64), keepdims=1)
    nearest = nearest_squares(graph, centred, squares, first, count)
    profile = graph.add("Sqrt", graph.add("Max", nearest, graph.constant(0.0)))
    last, history = graph.between(profile, queried - 1, queried), graph.between(profile, 0, queried - 1)
    usual = graph.add("Add", graph.mean(history, keep=1), graph.constant(FLOOR_PROFILE))
    return graph.rank(history, last), graph.add("Div", last, usual), TYPICAL_PROFILE


def nearest_squares(graph: Graph, centred: str, squares: str, first: int, count: int) -> str:
    """The squared distance of every STRIDEth subsequence from `first` on to the nearest one before it, [N, queried].

    |q - k|² = |q|² + |k|² - 2 q·k, and which k makes it least does not depend on |q|².
    """
    queries = graph.add("Transpose", graph.between(centred, first, count, axis=2, step=STRIDE), perm=[0, 2, 1])
    products = graph.add("Mul", graph.add("MatMul", queries, centred), graph.constant(-2.0))  # [N, queried, count]
    newest_neighbour = graph.constant(np.arange(first, count, STRIDE).reshape(-1, 1) - EXCLUSION, np.int64)
    too_near = graph.add("Greater", graph.constant(np.arange(count).reshape(1, -1), np.int64), newest_neighbour)
    penalty = graph.add("Where", too_near, graph.constant(FAR), graph.constant(0.0))  # folded when it is loaded
    lengths = graph.add("Add", squares, penalty)
    least = graph.add("ReduceMin", graph.add("Add", products, lengths), axes=[2], keepdims=0)
    return graph.add("Add", least, graph.flat(graph.between(squares, first, count, axis=2, step=STRIDE)))


def combined(graph: Graph, views: list[View]) -> None:
    """Adds the nodes whose last output is `score`; the three sizes are saturated together."""
    from onnx import helper

    ranks = graph.mean(graph.add("Concat", *(rank for rank, _, _ in views), axis=1))
    rates = graph.constant([-1 / typical for _, _, typical in views])
    left = graph.mean(graph.add("Exp", graph.add("Mul", graph.add("Concat", *(v[1] for v in views), axis=1), rates)))
    saturated = graph.add("Sub", graph.constant(1.0), left)
    graph.nodes.append(helper.make_node("Mul", [ranks, saturated], ["score"]))


def build(length: int) -> Any:
    """The model for windows of `length` values (at least three subsequences)."""
    import onnx
    from onnx import TensorProto, helper

    if length < 3 * SUBSEQUENCE:
        raise SystemExit(f"error: --window {length} is too short: at least {3 * SUBSEQUENCE}")
    graph = Graph()
    values = standardised(graph, "window", length)
    combined(graph, [view(graph, values, length) for view in (gaussian_view, ewma_view, profile_view)])
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "anomaly",
            [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", length])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    import onnx

    parser = argparse.ArgumentParser(description="Writes anomaly.onnx.")
    parser.add_argument("--window", type=int, default=WINDOW, help="values per window (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    onnx.save(build(arguments.window), str(arguments.out / "anomaly.onnx"))


if __name__ == "__main__":
    main()
