"""The V2 protocol (KServe, "Open Inference Protocol", HTTP/REST) in JSON: metadata of models, and inference.

Tensors may be nested or flat. The binary tensor data extension is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import simdjson

from iot_core.errors import InputError
from modules.scorer.onnx_model import Array, Port
from modules.scorer.scoring import ScoringModel
from modules.scorer.tensor import brackets_in, brackets_of, check_shape, kind, parsed, read_array

__all__ = ["VERSION", "infer", "model_metadata", "server_metadata"]

VERSION = "0.1.0"
DATATYPES = {
    np.dtype(dtype): name
    for name, dtype in {
        "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
        "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
        "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
    }.items()
}  # fmt: skip
BINARY = ("binary_data", "binary_data_size", "binary_data_output")
"""Parameters of the extension for tensors outside the JSON."""


class InferRequestError(InputError):
    """The body of an inference request breaks the protocol or does not fit the model."""


def server_metadata() -> dict[str, Any]:
    """What GET /v2 says."""
    return {"name": "edgeyard-scorer", "version": VERSION, "extensions": []}


def model_metadata(model: ScoringModel) -> dict[str, Any]:
    """What GET /v2/models/{model} says; -1 is any size."""
    return {
        "name": model.name,
        "platform": "onnxruntime_onnx",
        "inputs": [_port(port) for port in model.onnx.inputs],
        "outputs": [_port(port) for port in model.onnx.outputs],
    }


def infer(model: ScoringModel, body: bytes | bytearray) -> bytes:
    """The answer to POST /v2/models/{model}/infer; raises InferRequestError or TensorError."""
    document, fault = parsed(body)
    request = _object(document, "the body")
    _refuse_binary(request, "the body")
    inputs = _array(request.get("inputs"), "inputs")
    tensors = [_tensor(item, f"inputs[{position}]", model) for position, item in enumerate(inputs)]
    _check_names([tensor.port.name for tensor in tensors], model)
    expected = 1 + ("outputs" in request) + sum(1 + brackets_of(tensor.written) for tensor in tensors)
    sound = brackets_in(body, expected) == expected
    values = {tensor.port.name: tensor.array(sound) for tensor in tensors}
    if fault is not None:
        raise InferRequestError(fault)
    names = _outputs(request, model)
    found = model.infer(values, names)
    outputs = [_written(name, array) for name, array in zip(names, found, strict=True)]
    identity = request.get("id")
    content = {"model_name": model.name, **({"id": identity} if isinstance(identity, str) else {}), "outputs": outputs}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    """An input of a request; `written` is the shape in which its numbers stand in the text: nested or flat."""

    port: Port
    shape: tuple[int, ...]
    written: tuple[int, ...]
    data: Any
    place: str

    def array(self, sound: bool) -> Array:
        """`sound` if the text holds no bracket that these shapes do not explain."""
        exact = Port(name=self.port.name, dtype=self.port.dtype, shape=self.written)
        return read_array(self.data, exact, self.place, lambda _: sound).reshape(self.shape)


def _tensor(item: Any, place: str, model: ScoringModel) -> _Tensor:
    tensor = _object(item, place)
    _refuse_binary(tensor, place)
    name, datatype = tensor.get("name"), tensor.get("datatype")
    port = next((port for port in model.onnx.inputs if port.name == name), None)
    if port is None:
        names = [port.name for port in model.onnx.inputs]
        raise InferRequestError(f"{place}.name is {name!r}: the model's inputs are {names}")
    if datatype != DATATYPES[port.dtype]:
        raise InferRequestError(f"{place}.datatype is {datatype!r}: the input {name} takes {DATATYPES[port.dtype]}")
    sizes = _array(tensor.get("shape"), f"{place}.shape")
    shape = tuple(_size(size, f"{place}.shape[{position}]") for position, size in enumerate(sizes))
    check_shape(shape, port.shape)
    data = _array(tensor.get("data"), f"{place}.data")
    nested = len(data) > 0 and isinstance(data[0], simdjson.Array | list)
    written = shape if nested else (math.prod(shape),)
    return _Tensor(port=port, shape=shape, written=written, data=data, place=f"{place}.data")


def _check_names(names: list[str], model: ScoringModel) -> None:
    missing = [port.name for port in model.onnx.inputs if port.name not in names]
    if missing:
        raise InferRequestError(f"inputs: {', '.join(missing)} missing")
    if len(set(names)) != len(names):
        raise InferRequestError("inputs: a name comes twice")


def _outputs(request: Any, model: ScoringModel) -> list[str]:
    known = [port.name for port in model.onnx.outputs]
    if request.get("outputs") is None:
        return known
    names = []
    for position, item in enumerate(_array(request.get("outputs"), "outputs")):
        wanted = _object(item, f"outputs[{position}]")
        _refuse_binary(wanted, f"outputs[{position}]")
        if wanted.get("name") not in known:
            raise InferRequestError(
                f"outputs[{position}].name is {wanted.get('name')!r}: the model's outputs are {known}"
            )
        names.append(str(wanted.get("name")))
    return names or known


def _written(name: str, array: Array) -> dict[str, Any]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InferRequestError(f"the output {name} is not finite")
    flat = np.ascontiguousarray(array).ravel()
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype], "data": flat}


def _port(port: Port) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in port.shape]
    return {"name": port.name, "datatype": DATATYPES[port.dtype], "shape": shape}


def _object(value: Any, place: str) -> Any:
    if not isinstance(value, simdjson.Object | dict):
        raise InferRequestError(f"{place} is {kind(value)}, not an object")
    return value


def _array(value: Any, place: str) -> Any:
    if not isinstance(value, simdjson.Array | list):
        raise InferRequestError(f"{place} is {'missing' if value is None else kind(value)}, not an array")
    return value


def _size(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InferRequestError(f"{place} is {kind(value)}, not a whole number")
    return value


def _refuse_binary(part: Any, place: str) -> None:
    parameters = part.get("parameters")
    if isinstance(parameters, simdjson.Object | dict):
        for name in BINARY:
            if parameters.get(name):
                raise InferRequestError(f"{place}.parameters.{name}: the binary tensor data extension is not supported")
