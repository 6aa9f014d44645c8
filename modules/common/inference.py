"""onnxruntime, opened in one place and without its telemetry.

From version 1.32 on it reports usage to Microsoft from the moment it is imported, unless ORT_DISABLE_TELEMETRY is set
before (docs/decisions/0006-onnxruntime-without-its-telemetry.md). So nothing else here imports it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from iot_core.errors import InputError

__all__ = ["Session", "open_session"]

Session: TypeAlias = onnxruntime.InferenceSession
PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")
ONLY_ERRORS = 3


def open_session(content: bytes, path: Path) -> Session:
    """A session for the model in `content`; `path` is its name in messages. Each call of `run` uses one thread.

    Raises InputError when onnxruntime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests run side by side instead: more of them per second, none starves another
    options.log_severity_level = ONLY_ERRORS
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in PREFERRED if provider in available]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's own errors have no common class
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"model {path}: onnxruntime cannot load it: {reason}") from None
