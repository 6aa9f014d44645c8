"""JSON arrays and raw bytes → numpy arrays, quickly and strictly.

simdjson hands all numbers over as one flat buffer and so loses their shape. The fast way therefore reads the shape off
the rows and accepts the buffer only when the text has exactly the brackets of that shape, so that none can hide (null,
true, false and text are refused by simdjson itself). All else goes the slow way, which looks at every value and says
what is wrong and where.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import simdjson

from iot_core.errors import InputError
from modules.scorer.onnx_model import Array, Port, Shape

__all__ = [
    "MAX_NUMBERS",
    "Body",
    "TensorError",
    "brackets_in",
    "brackets_of",
    "check_shape",
    "kind",
    "parsed",
    "read_array",
    "read_quickly",
    "read_raw",
    "read_tensor",
]

MAX_NUMBERS = 16 * 3 * 224 * 224
"""Numbers in one request, 16 pictures: more keep a worker busy for so long that others wait."""
EXPLAINED = 4 * 1024 * 1024
"""Bytes of a text that is no JSON up to which the place of the fault is looked for: the search holds up everybody."""
SMALL = 8 * 1024  # bytes of a body up to which Python objects are quicker than simdjson's
FAR_BETWEEN = 64  # bytes from one bracket to the next, from where on finding them one by one is quicker

Body = bytes | bytearray | memoryview
_WIDE: dict[str, tuple[str, np.dtype[Any]]] = {"f": ("d", np.dtype(np.float64)), "i": ("i", np.dtype(np.int64))}
"""Kind of a type → what simdjson gives for it; unsigned types are read as int64 and checked."""
_PYTHON: dict[str, set[type]] = {"f": {int, float}, "b": {bool}}
_WHOLE: set[type] = {int}
_local = threading.local()


class TensorError(InputError):
    """The body of a scoring request is not the tensor that the model takes."""


def read_quickly(body: bytes | bytearray, port: Port) -> Array | None:
    """What `read_tensor` gives, or None when that has to look closer, perhaps to refuse it.

    Some 2 ms a megabyte, all of them with the interpreter held.
    """
    if len(body) <= SMALL:
        return _read_small(body, port)
    try:
        data = _parse(body)["data"]
    except (ValueError, RuntimeError, KeyError, TypeError):
        return None
    return _read_at_once(data, port, lambda expected: brackets_in(body, expected) == expected)


def read_tensor(body: bytes | bytearray, port: Port) -> Array:
    """The array under "data" in `body`, of the shape and type of `port` (None takes any size from 1).

    Raises TensorError, which names the place, for bad JSON, a missing or extra level, rows of different length, null,
    true, false, text, NaN, numbers that the type cannot hold, and more than MAX_NUMBERS.
    """
    quickly = read_quickly(body, port)
    if quickly is not None:
        return quickly
    document, fault = parsed(body)
    if not isinstance(document, simdjson.Object | dict) or "data" not in document:
        raise TensorError('the body must be an object with the array "data"')
    array = _read_slowly(document["data"], port, "data")
    if fault is not None:
        raise TensorError(fault)
    return array


def _read_small(body: bytes | bytearray, port: Port) -> Array | None:
    """The array, or None when it is not certainly right. For a few numbers Python objects are the quickest way."""
    try:
        data = orjson.loads(body)["data"]
        values: list[Any] = []
        shape = _gathered(data, port.shape, values)
        if shape is None or not set(map(type, values)) <= _PYTHON.get(port.dtype.kind, _WHOLE):
            return None
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=port.dtype)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    if port.dtype.kind == "f" and not np.isfinite(array).all():
        return None
    return array.reshape(shape)


def _gathered(data: Any, expected: Shape, values: list[Any]) -> tuple[int, ...] | None:
    """The shape of nested lists, whose items go to `values`; None when it is not what is expected."""
    size = len(data)
    if type(data) is not list or not size or expected[0] not in (None, size):
        return None
    if len(expected) == 1:
        values.extend(data)
        return (size,)
    shapes = {_gathered(row, expected[1:], values) for row in data}
    inner = shapes.pop()
    return None if shapes or inner is None else (size, *inner)


def read_array(data: Any, port: Port, place: str, only: Callable[[int], bool]) -> Array:
    """The array in `data`, a value of a parsed document; `only(n)` tells if the text has no more than n brackets."""
    array = _read_at_once(data, port, only)
    return _read_slowly(data, port, place) if array is None else array


def _read_at_once(data: Any, port: Port, only: Callable[[int], bool]) -> Array | None:
    shape = _shape_of(data, port.shape)
    if shape is None or not _rows_fit(data, shape) or not only(brackets_of(shape)):
        return None
    return _from_buffer(data, shape, port.dtype)


def read_raw(body: Body, port: Port, shape: Sequence[int]) -> Array:
    """The array whose little-endian numbers are `body`; TensorError for a wrong shape or length, NaN and infinity."""
    check_shape(shape, port.shape)
    expected = math.prod(shape) * port.dtype.itemsize
    if len(body) != expected:
        raise TensorError(f"the body has {len(body)} bytes, not the {expected} of {list(shape)} as {port.dtype}")
    array = np.frombuffer(body, dtype=port.dtype.newbyteorder("<")).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        position = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise TensorError(f"the number at {position} is not finite")
    return array


def parsed(body: bytes | bytearray) -> tuple[Any, str | None]:
    """The document in `body`, and why it is no JSON in case it only nearly is: with NaN, infinity or overlong numbers,
    which a check of its values then finds. TensorError when it cannot be read at all."""
    try:
        return _parse(body), None
    except (ValueError, RuntimeError) as error:
        fault = f"the body is not JSON: {_reason(error)}"
    if len(body) > EXPLAINED:
        raise TensorError(fault)
    try:
        return json.loads(body), fault
    except json.JSONDecodeError as error:
        raise TensorError(f"the body is not JSON: {error}") from None
    except (ValueError, RecursionError):
        raise TensorError(fault) from None


def _parse(body: bytes | bytearray) -> Any:
    """One parser per thread: it keeps its memory, and must not be used again while its document lives."""
    parser = getattr(_local, "parser", None)
    if parser is not None:
        try:
            return parser.parse(body)
        except RuntimeError as error:
            if "re-use" not in str(error):
                raise
    _local.parser = simdjson.Parser()
    return _local.parser.parse(body)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).partition(": ")[2].partition(". ")[0] or str(error)


def brackets_in(body: bytes | bytearray, expected: int) -> int:
    """Opening square brackets in a text; may stop counting above `expected`."""
    if expected * FAR_BETWEEN > len(body):
        return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == ord("[")))
    count, position = 0, body.find(b"[")
    while position >= 0 and count <= expected:
        count, position = count + 1, body.find(b"[", position + 1)
    return count


def brackets_of(shape: tuple[int, ...]) -> int:
    """Opening brackets in the JSON text of an array of this shape."""
    return sum(math.prod(shape[:level]) for level in range(len(shape)))


def _shape_of(data: Any, expected: Shape) -> tuple[int, ...] | None:
    """The shape that the first item of each level has, where `expected` leaves it open; None when it does not fit."""
    shape: list[int] = []
    for size in expected:
        if not isinstance(data, simdjson.Array) or not len(data) or size not in (None, len(data)):
            return None
        shape.append(len(data))
        data = data[0] if len(shape) < len(expected) else None
    return tuple(shape) if math.prod(shape) <= MAX_NUMBERS and shape else None


def _rows_fit(data: Any, shape: tuple[int, ...]) -> bool:
    """True if every row has the length of `shape`. Touches rows, not numbers."""
    try:
        if len(data) != shape[0]:
            return False
    except TypeError:
        return False
    return len(shape) == 1 or all(_rows_fit(row, shape[1:]) for row in data)


def _from_buffer(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """The numbers, or None when one is no number or too large for the type."""
    code, wide = _WIDE.get(dtype.kind, _WIDE["i"])
    if dtype == np.uint64:  # the only one that int64 cannot hold
        code, wide = "u", np.dtype(np.uint64)
    if dtype.kind == "b":
        return None
    try:
        flat = np.frombuffer(data.as_buffer(of_type=code), dtype=wide)
    except (TypeError, ValueError, RuntimeError):
        return None
    if flat.size != math.prod(shape):
        return None
    with np.errstate(over="ignore"):
        array = flat.astype(dtype)
    held = np.isfinite(array).all() if dtype.kind == "f" else np.array_equal(array, flat)
    return array.reshape(shape) if held else None


def _read_slowly(data: Any, port: Port, place: str) -> Array:
    wanted = shape_text(port.shape)
    shape = _checked_shape(data, port.shape, place, wanted)
    if math.prod(shape) > MAX_NUMBERS:
        raise TensorError(f"{place} has {math.prod(shape)} numbers: send at most {MAX_NUMBERS} in one request")
    values: list[Any] = []
    _check(data, shape, place, _Expected(dtype=port.dtype, text=wanted), values)
    return np.array(values, dtype=port.dtype).reshape(shape)


class _Expected:
    def __init__(self, *, dtype: np.dtype[Any], text: str) -> None:
        self.dtype = dtype
        self.text = text
        self.bounds: tuple[float, float] = (0, 1)
        if dtype.kind == "f":
            self.bounds = (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
        elif dtype.kind in "iu":
            self.bounds = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _checked_shape(data: Any, expected: Shape, place: str, wanted: str) -> tuple[int, ...]:
    """The shape by the first item of each level; TensorError where it leaves `expected`."""
    shape: list[int] = []
    for size in expected:
        _check_level(data, size, place, wanted)
        shape.append(len(data))
        data, place = data[0], f"{place}[0]"
    return tuple(shape)


def _check_level(data: Any, size: int | None, place: str, wanted: str) -> None:
    if not isinstance(data, simdjson.Array | list):
        raise TensorError(f"{place} is {kind(data)}, not an array: the model takes the shape {wanted}")
    if size is not None and len(data) != size:
        raise TensorError(f"{place} has {len(data)} items, not {size}: the model takes the shape {wanted}")
    if not len(data):
        raise TensorError(f"{place} is empty: the model takes the shape {wanted}")


def _check(value: Any, shape: tuple[int, ...], place: str, expected: _Expected, values: list[Any]) -> None:
    if not shape:
        _check_number(value, place, expected)
        values.append(value)
        return
    _check_level(value, shape[0], place, expected.text)
    for position, item in enumerate(value):
        _check(item, shape[1:], f"{place}[{position}]", expected, values)


def _check_number(value: Any, place: str, expected: _Expected) -> None:
    kinds = {"f": int | float, "b": bool}.get(expected.dtype.kind, int)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        what = "number" if expected.dtype.kind == "f" else "boolean" if kinds is bool else "whole number"
        raise TensorError(f"{place} is {kind(value)}, not a {what}: the model takes the shape {expected.text}")
    if value != value:
        raise TensorError(f"{place} is NaN, not a finite number")
    if not expected.bounds[0] <= value <= expected.bounds[1]:
        raise TensorError(f"{place} is too large for {expected.dtype}")


def check_shape(shape: Sequence[int], expected: Shape) -> None:
    """TensorError if a shape that was announced is not one the model takes."""
    fits = len(shape) == len(expected) and all(
        size >= 1 and size == (size if wanted is None else wanted)
        for size, wanted in zip(shape, expected, strict=False)
    )
    if not fits:
        raise TensorError(f"the shape {list(shape)} is not what the model takes: {shape_text(expected)}")
    if math.prod(shape) > MAX_NUMBERS:
        raise TensorError(f"the shape {list(shape)} has {math.prod(shape)} numbers: send at most {MAX_NUMBERS}")


def shape_text(shape: Shape) -> str:
    """ "[N, 3, 224, 224]" """
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"


def kind(value: Any) -> str:
    """What a JSON value is, for a person."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "a boolean", float: "a fraction", str: "text", list: "an array", dict: "an object"}
    names |= {simdjson.Array: "an array", simdjson.Object: "an object", int: "a number"}
    return names.get(type(value), type(value).__name__)
