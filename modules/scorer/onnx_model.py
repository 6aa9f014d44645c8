"""One ONNX model, and what can be told about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from iot_core.errors import InputError
from modules.common.inference import Session, open_session

__all__ = ["Array", "Float32", "InferenceError", "OnnxModel", "Port", "Shape"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]
"""None where the model takes any size."""

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(bool)": np.dtype(np.bool_),
}
"""Element types that the scorer can read from requests and write into answers."""


class InferenceError(InputError):
    """The model cannot compute an input that looked right, or gave what is no number."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of a model."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape


class OnnxModel:
    """A model of tensors in, tensors out. `run` and `infer` may be called from several threads; each call uses one."""

    def __init__(self, path: Path, *, providers: Sequence[str] | None = None) -> None:
        """Raises InputError for a file that is missing, is no ONNX model, or takes something else."""
        self._open(_read(path), path, providers)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path, providers: Sequence[str] | None = None) -> Self:
        """A model from its bytes; `path` gives its name."""
        model = cls.__new__(cls)
        model._open(content, path, providers)
        return model

    def _open(self, content: bytes, path: Path, providers: Sequence[str] | None) -> None:
        self.name = path.stem
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session: Session = open_session(content, path, providers)
        self.inputs = tuple(_port(item, path) for item in self._session.get_inputs())
        self.outputs = tuple(_port(item, path) for item in self._session.get_outputs())
        if not self.inputs or not self.outputs:
            raise InputError(f"model {path.name}: it must have at least one input and one output")
        self.input, self.output = self.inputs[0], self.outputs[0]
        self._output_names = [port.name for port in self.outputs]
        self.provider = str(self._session.get_providers()[0])

    @property
    def input_name(self) -> str:
        return self.input.name

    @property
    def input_shape(self) -> Shape:
        """The shape of the first input."""
        return self.input.shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the first output."""
        return self.output.shape

    def run(self, values: Array) -> Array:
        """The first output for the first input; InferenceError when the model cannot compute it."""
        return self.infer({self.input.name: values}, [self.output.name])[0]

    def infer(self, values: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """The outputs (all, or those named) for a value of every input; InferenceError when it cannot compute them."""
        try:
            found: list[Array] = self._session.run(outputs or self._output_names, dict(values))
        except Exception as error:  # onnxruntime's own errors have no common class
            reason = str(error).splitlines()[0][:200]
            raise InferenceError(f"model {self.name} cannot compute this input: {reason}") from None
        return found

    def information(self) -> dict[str, Any]:
        """Name, sha256, execution provider, first input and first output, as JSON."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "provider": self.provider,
            "input": {"name": self.input.name, "shape": list(self.input.shape)},
            "output": {"name": self.output.name, "shape": list(self.output.shape)},
        }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"model {path}: {error.strerror}") from None


def _port(item: Any, path: Path) -> Port:
    if item.type not in DTYPES:
        raise InputError(f"model {path.name}: {item.name} is {item.type}, which cannot be sent: use tensors of numbers")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in item.shape or ())
    return Port(name=str(item.name), dtype=DTYPES[item.type], shape=shape)
