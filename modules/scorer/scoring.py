"""A model in service: its specification and its ONNX graph together, from bodies of requests to results."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iot_core.errors import InputError
from modules.scorer.onnx_model import Array, InferenceError, OnnxModel, Port
from modules.scorer.photograph import read_photograph
from modules.scorer.specification import FER_PREPROCESSING, ModelSpec, Preprocessing, Task
from modules.scorer.tensor import read_quickly, read_raw, read_tensor

__all__ = ["Guess", "Scored", "ScoringModel"]

WARM_UPS = 5  # runs before the first request: buffers are made, kernels chosen
TINY_S = 200e-6
"""A model that takes less is run on the event loop: handing it to another thread would cost as much."""
TINY_NUMBERS = 4096  # in its input, so that reading them takes no longer either


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One class that a photograph may show."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The result of a request and the seconds that the model took."""

    result: Any
    seconds: float


class ScoringModel:
    """Works in the caller's thread, any number of calls at once."""

    def __init__(self, name: str, spec: ModelSpec, onnx: OnnxModel, labels: list[str]) -> None:
        """Raises InputError when specification and graph do not fit each other."""
        self.name = name
        self.spec = spec
        self.onnx = onnx
        self.labels = labels
        self.preprocessing = _preprocessing(spec, onnx.input)
        self.softmax = spec.task is Task.EMOTION if spec.softmax is None else spec.softmax
        self.tiny = False
        _check_labels(labels, onnx)

    def warm_up(self) -> None:
        """Run the model on zeros and measure it; raises InferenceError when it cannot run. A model with open sizes
        beside the number of rows is let pass: nobody knows here which sizes it can take."""
        values = {
            port.name: np.zeros([size or 1 for size in port.shape], dtype=port.dtype) for port in self.onnx.inputs
        }
        try:
            self._measure(values)
        except InferenceError:
            if all(None not in port.shape[1:] for port in self.onnx.inputs):
                raise

    def _measure(self, values: dict[str, Array]) -> None:
        seconds = []
        for _ in range(WARM_UPS):
            start = time.perf_counter()
            self.onnx.infer(values)
            seconds.append(time.perf_counter() - start)
        numbers = sum(value.size for value in values.values())
        self.tiny = statistics.median(seconds) < TINY_S and numbers <= TINY_NUMBERS

    def score_json(self, body: bytes | bytearray) -> Scored:
        """The outputs for {"data": …}; raises TensorError."""
        return self._scored(read_tensor(body, self._only_input()))

    def read_quickly(self, body: bytes | bytearray) -> Array | None:
        """The input in {"data": …}, for `score_values`, or None: then `score_json` knows, or says, what it is."""
        return read_quickly(body, self.onnx.input) if len(self.onnx.inputs) == 1 else None

    def score_values(self, values: Array) -> Scored:
        """The outputs for the model's only input."""
        return self._scored(values)

    def score_raw(self, body: bytes | bytearray, shape: tuple[int, ...]) -> Scored:
        """The outputs for the array whose bytes are `body`; raises TensorError."""
        return self._scored(read_raw(body, self._only_input(), shape))

    def score_picture(self, body: bytes | bytearray) -> Scored:
        """The likeliest classes of a JPEG or PNG, as a list of Guess, surest first; the outputs as they are for a model
        without labels. Raises PhotographError."""
        if self.preprocessing is None:
            raise InputError(f"the model {self.name} takes no pictures: its input is {list(self.onnx.input_shape)}")
        outputs, seconds = self._timed(read_photograph(body, self.preprocessing))
        if not self.labels:
            return Scored(result=self._result(outputs), seconds=seconds)
        row = outputs[0].ravel()
        return Scored(
            result=self._guesses(row if self.spec.outputs == "probabilities" else softmax(row)), seconds=seconds
        )

    def infer(self, values: Mapping[str, Array], outputs: list[str]) -> list[Array]:
        """Named outputs for a value of every input, as the graph gives them."""
        return self.onnx.infer(values, outputs)

    def information(self) -> dict[str, Any]:
        """What GET /models says."""
        return {
            **self.onnx.information(),
            "name": self.name,
            "task": str(self.spec.task or Task.RAW),
            "labels": self.labels,
        }

    def _only_input(self) -> Port:
        if len(self.onnx.inputs) != 1:
            names = [port.name for port in self.onnx.inputs]
            raise InputError(f"the model {self.name} takes several inputs, {names}: POST /v2/models/{self.name}/infer")
        return self.onnx.input

    def _scored(self, values: Array) -> Scored:
        outputs, seconds = self._timed(values)
        return Scored(result=self._result(outputs), seconds=seconds)

    def _timed(self, values: Array) -> tuple[Array, float]:
        start = time.perf_counter()
        outputs = self.onnx.run(values)
        seconds = time.perf_counter() - start
        if outputs.dtype.kind == "f" and not np.isfinite(outputs).all():
            raise InferenceError(f"the model {self.name} gave a result that is not finite")
        return outputs, seconds

    def _result(self, outputs: Array) -> Array:
        """All rows of outputs; of task emotion, which takes one face, its one row."""
        values = softmax(outputs) if self.softmax else outputs
        return values[0] if self.spec.task is Task.EMOTION and len(values) == 1 else values

    def _guesses(self, shares: Array) -> list[Guess]:
        best = [int(index) for index in np.argsort(-shares, kind="stable")[: self.spec.top_k]]
        least = self.spec.threshold or 0.0
        guesses = [Guess(label=self.labels[i], index=i, probability=round(float(shares[i]), 4)) for i in best]
        return [guess for guess in guesses if guess.probability >= least]


def softmax(values: Array) -> Array:
    """Probabilities along the last dimension."""
    shares = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _check_labels(labels: list[str], onnx: OnnxModel) -> None:
    classes = onnx.output_shape[-1] if onnx.output_shape else None
    if labels and classes is not None and classes != len(labels):
        raise InputError(f"there are {len(labels)} labels, but {onnx.name} has {classes} classes")


def _preprocessing(spec: ModelSpec, port: Port) -> Preprocessing | None:
    """How pictures become the model's input, with the size filled in; None for a model that takes none."""
    if len(port.shape) != 4:
        return None
    how = spec.preprocessing or (FER_PREPROCESSING if spec.task is Task.EMOTION else Preprocessing())
    channels, wanted = port.shape[3 if how.layout == "nhwc" else 1], 1 if how.channels == "gray" else 3
    if channels not in (None, wanted):
        if spec.preprocessing is None:
            return None
        raise InputError(f"preprocessing gives {wanted} channels, but the model's input is {list(port.shape)}")
    if how.size is not None:
        return how
    height, width = port.shape[1:3] if how.layout == "nhwc" else port.shape[2:4]
    return None if height is None or width is None else how.model_copy(update={"size": (height, width)})
