"""Small ONNX models for tests, built with the onnx package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["linear", "picture_means", "save", "sha256", "two_inputs", "unlimited"]

FLOAT = TensorProto.FLOAT


def linear(factor: float = 2.0, *, width: int = 3, dtype: int = FLOAT) -> bytes:
    """x [N, width] → y [N, width], every number times `factor`."""
    constant = numpy_helper.from_array(np.array(factor, helper.tensor_dtype_to_np_dtype(dtype)), "k")
    ports = [_port(name, ["N", width], dtype) for name in "xy"]
    return _model([helper.make_node("Mul", ["x", "k"], ["y"])], ports[:1], ports[1:], [constant])


def picture_means(size: int = 8, channels: int = 3) -> bytes:
    """data [N, channels, size, size] → [N, channels]: the mean of each channel, as logits."""
    return _model(
        [helper.make_node("ReduceMean", ["data"], ["logits"], axes=[2, 3], keepdims=0)],
        [_port("data", ["N", channels, size, size])],
        [_port("logits", ["N", channels])],
    )


def two_inputs() -> bytes:
    """a [N, 2] float32 and b [N, 2] int64 → total [N, 2] float32 and b as it came."""
    nodes = [
        helper.make_node("Cast", ["b"], ["c"], to=FLOAT),
        helper.make_node("Add", ["a", "c"], ["total"]),
        helper.make_node("Identity", ["b"], ["same"]),
    ]
    inputs = [_port("a", ["N", 2]), _port("b", ["N", 2], TensorProto.INT64)]
    return _model(nodes, inputs, [_port("total", ["N", 2]), _port("same", ["N", 2], TensorProto.INT64)])


def unlimited() -> bytes:
    """x [N, 1] → 1 / x, which is not finite for 0."""
    return _model(
        [helper.make_node("Reciprocal", ["x"], ["y"])], [_port("x", ["N", 1])], [_port("y", ["N", 1])]
    )  # fmt: skip


def save(folder: Path, name: str, content: bytes) -> Path:
    """The model as a file."""
    path = folder / f"{name}.onnx"
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _port(name: str, shape: list[int | str], dtype: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    constants: list[TensorProto] | None = None,
) -> bytes:
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants or [])
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
