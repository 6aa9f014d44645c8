"""What a model file wants and gives, found out before a module is written around it."""

from __future__ import annotations

from pathlib import Path

from iot_core.errors import InputError
from modules.common.inference import open_session

__all__ = ["read_model"]

TYPES = ("float", "float16", "double", "int8", "int16", "int32", "int64", "uint8", "bool")
MAX_BYTES = 500 * 1024 * 1024
"""More does not belong into an image; the scorer fetches such models by its twin."""


def read_model(path: Path) -> bytes:
    """The content of an ONNX file that a module can be written around: one input, numbers; InputError otherwise."""
    try:
        if path.stat().st_size > MAX_BYTES:
            limit = f"has over {MAX_BYTES >> 20} MiB"
            raise InputError(f"--model {path}: {limit}: the scorer fetches large models by its twin")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"--model {path} cannot be read: {error.strerror}") from None
    session = open_session(content, path, ["cpu"])
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type.removeprefix("tensor(").removesuffix(")") not in TYPES:
        listed = ", ".join(f"{each.name}: {each.type}" for each in inputs)
        raise InputError(f"--model {path}: wants {listed}; a module is written around one input of numbers")
    return content
