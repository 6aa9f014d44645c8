"""A rollout in a file: a Python program in which `rollout` is a Rollout or a function that returns one."""

from __future__ import annotations

import runpy
import traceback
from pathlib import Path

from hub_tools.jobs.rollout import Rollout
from iot_core.errors import EdgeyardError, InputError

__all__ = ["read_rollout_file"]


def read_rollout_file(file: Path) -> Rollout:
    """The rollout of a program; InputError with what is wrong and in which line."""
    try:
        made = runpy.run_path(str(file)).get("rollout")
        rollout = made() if callable(made) else made
    except EdgeyardError as error:
        raise InputError(f"{_line(file, error)}: {error}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    except Exception as error:
        raise InputError(f"{_line(file, error)}: {type(error).__name__}: {error}") from None
    if not isinstance(rollout, Rollout):
        raise InputError(f"{file}: write rollout = Rollout(…), or a function rollout() that returns one")
    return rollout


def _line(file: Path, error: Exception) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    return f"{file}:{line}" if line else str(file)
