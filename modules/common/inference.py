"""onnxruntime, opened in one place and without its telemetry.

From version 1.32 on it reports usage to Microsoft from the moment it is imported, unless ORT_DISABLE_TELEMETRY is set
before (docs/decisions/0006-onnxruntime-without-its-telemetry.md). So nothing else here imports it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from iot_core.errors import InputError

__all__ = ["PREFERRED", "Session", "available_providers", "choose_providers", "open_session"]

Session: TypeAlias = onnxruntime.InferenceSession
PREFERRED = (
    "CUDAExecutionProvider",
    "ROCMExecutionProvider",
    "CoreMLExecutionProvider",
    "CPUExecutionProvider",
)
"""Tried in this order where nothing else is said. Not TensorRT or OpenVINO: they compile for minutes, so they are used
only when asked for."""
SHORT_NAMES = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
ONLY_ERRORS = 3


def available_providers() -> list[str]:
    """The execution providers that this build of onnxruntime has."""
    return list(onnxruntime.get_available_providers())


def choose_providers(wanted: Sequence[str] | None = None) -> list[str]:
    """The providers to use, in order: `wanted` (full names, or cpu, cuda, tensorrt), else what is there of PREFERRED.

    Raises InputError for one that this build does not have.
    """
    available = available_providers()
    if not wanted:
        return [provider for provider in PREFERRED if provider in available]
    named = [SHORT_NAMES.get(name.lower(), name) for name in wanted]
    for provider in named:
        if provider not in available:
            raise InputError(f"execution provider {provider} is not there: this onnxruntime has {', '.join(available)}")
    return named


def open_session(content: bytes, path: Path, providers: Sequence[str] | None = None) -> Session:
    """A session for the model in `content`; `path` is its name in messages. Each call of `run` uses one thread.

    A GPU that cannot be used gives way to the next provider, unless it was asked for. Raises InputError when
    onnxruntime cannot load the model, or has no such provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests run side by side instead: more of them per second, none starves another
    options.inter_op_num_threads = 1
    options.log_severity_level = ONLY_ERRORS
    chosen = choose_providers(providers)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=chosen)
    except Exception as error:  # onnxruntime's own errors have no common class
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"model {path}: onnxruntime cannot load it: {reason}") from None
    if providers and session.get_providers()[0] != chosen[0]:
        raise InputError(f"model {path}: {chosen[0]} was asked for but cannot be used on this machine")
    return session
