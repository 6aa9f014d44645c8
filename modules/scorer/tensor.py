"""The body {"data": [[[[…]]]]} → a float32 array, quickly and strictly.

simdjson hands all numbers over as one flat buffer and so loses their shape. The fast way therefore reads the shape off
the rows and accepts the buffer only when the text has exactly the brackets of that shape, so that none can hide (null,
true, false and text are refused by simdjson itself). All else goes the slow way, which looks at every value and says
what is wrong and where.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import orjson
import simdjson

from iot_core.errors import InputError
from modules.scorer.onnx_model import Float32, Shape

__all__ = ["MAX_BATCH", "TensorError", "read_tensor"]

MAX_BATCH = 16
"""Tensors in one request: more keep a worker busy for so long that others wait; send them one after the other."""

_local = threading.local()


class TensorError(InputError):
    """The body of a scoring request is not the tensor that the model takes."""


def read_tensor(body: bytes, expected: Shape) -> Float32:
    """The array under "data" in `body`, of the `expected` shape (None takes any size from 1 to MAX_BATCH).

    Raises TensorError, which names the place, for bad JSON, a missing or extra level, rows of different length, null,
    true, false, text, and numbers that float32 cannot hold.
    """
    tensor = _read_fast(body, expected)
    return _read_strictly(body, expected) if tensor is None else tensor


def _read_fast(body: bytes, expected: Shape) -> Float32 | None:
    """The tensor, or None when it is not certainly right."""
    try:
        return _from_buffer(body, expected)
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError):
        return None


def _from_buffer(body: bytes, expected: Shape) -> Float32 | None:
    data = _parser().parse(body)["data"]
    shape = _fast_shape(data, expected)
    if shape is None or _opened(body) != _brackets(shape):
        return None
    flat = np.frombuffer(data.as_buffer(of_type="d"), dtype=np.float64)
    if flat.size != math.prod(shape):
        return None
    with np.errstate(over="ignore"):
        tensor = flat.astype(np.float32).reshape(shape)
    return tensor if np.isfinite(tensor).all() else None


def _parser() -> Any:
    """One parser per thread: it keeps its memory, and must not be used by two at once."""
    if not hasattr(_local, "parser"):
        _local.parser = simdjson.Parser()
    return _local.parser


def _fast_shape(data: Any, expected: Shape) -> tuple[int, ...] | None:
    """The shape if every row has the length that is expected, else None. Touches rows, not numbers."""
    batch = len(data)
    shape = tuple(batch if size is None else size for size in expected)
    return shape if 1 <= batch <= MAX_BATCH and _rows_fit(data, shape) else None


def _rows_fit(data: Any, shape: tuple[int, ...]) -> bool:
    if len(data) != shape[0]:
        return False
    return len(shape) == 1 or all(_rows_fit(row, shape[1:]) for row in data)


def _opened(body: bytes) -> int:
    """Opening brackets in a text (a third of the time that bytes.count takes)."""
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == ord("[")))


def _brackets(shape: tuple[int, ...]) -> int:
    """Opening brackets in the JSON text of an array of this shape."""
    return sum(math.prod(shape[:level]) for level in range(len(shape)))


def _read_strictly(body: bytes, expected: Shape) -> Float32:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TensorError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict) or "data" not in document:
        raise TensorError('the body must be an object with the array "data"')
    data = document["data"]
    if isinstance(data, list) and expected[0] is None and not 1 <= len(data) <= MAX_BATCH:
        raise TensorError(f"data has {len(data)} tensors: send 1 to {MAX_BATCH} in one request")
    _check(data, expected, "data", _text(expected))
    return np.asarray(data, dtype=np.float32)


def _check(value: Any, shape: Shape, place: str, wanted: str) -> None:
    if not shape:
        return _check_number(value, place, wanted)
    if not isinstance(value, list):
        raise TensorError(f"{place} is {_kind(value)}, not an array: the model takes the shape {wanted}")
    if shape[0] is not None and len(value) != shape[0]:
        raise TensorError(f"{place} has {len(value)} items, not {shape[0]}: the model takes the shape {wanted}")
    for position, item in enumerate(value):
        _check(item, shape[1:], f"{place}[{position}]", wanted)
    return None


def _check_number(value: Any, place: str, wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TensorError(f"{place} is {_kind(value)}, not a number: the model takes the shape {wanted}")
    if abs(value) > float(np.finfo(np.float32).max):
        raise TensorError(f"{place} is too large for float32")


def _text(shape: Shape) -> str:
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "an array", dict: "an object"}
    return names[type(value)]
