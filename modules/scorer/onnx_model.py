"""One ONNX model with one input and one output, and what can be told about it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from iot_core.errors import InputError
from modules.common.inference import Session, open_session

__all__ = ["Float32", "OnnxModel", "Shape"]

Float32 = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]
"""None where the model takes any size."""

FLOAT_TENSOR = "tensor(float)"


class OnnxModel:
    """A model of float32 in, float32 out. `run` may be called from several threads; each call uses one."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a file that is missing, is no ONNX model, or takes something else."""
        self.name = path.stem
        self._session, self.sha256 = _load(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != FLOAT_TENSOR:
            raise InputError(f"model {path.name}: it must take one input of float32, not {[i.type for i in inputs]}")
        self.input_name, self.output_name = str(inputs[0].name), str(outputs[0].name)
        self.input_shape: Shape = _shape(inputs[0].shape)
        self.output_shape: Shape = _shape(outputs[0].shape)
        self.provider = str(self._session.get_providers()[0])

    def run(self, values: Float32) -> Float32:
        """The output for a batch."""
        output: Float32 = self._session.run([self.output_name], {self.input_name: values})[0]
        return output

    def information(self) -> dict[str, Any]:
        """Name, sha256, execution provider, input and output, as JSON."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "provider": self.provider,
            "input": {"name": self.input_name, "shape": list(self.input_shape)},
            "output": {"name": self.output_name, "shape": list(self.output_shape)},
        }


def _load(path: Path) -> tuple[Session, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"model {path}: {error.strerror}") from None
    return open_session(content, path), hashlib.sha256(content).hexdigest()


def _shape(dimensions: list[Any]) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in dimensions)
