"""What a running job last said, in a file that other terminals read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from iot_core.errors import InputError

__all__ = ["StatusFile"]

_SUFFIX = ".status.json"


class StatusFile:
    """`JOB.status.json` in the folder of jobs: the last line of JSON that a run printed, or would have."""

    def __init__(self, folder: Path, job_id: str) -> None:
        if not job_id or Path(job_id).name != job_id:
            raise InputError(f"{job_id[:60]!r} is no job id")
        self._file = folder / f"{job_id}{_SUFFIX}"

    def write(self, line: dict[str, Any]) -> None:
        """Replaces what was there, as a whole."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({**line, "at": time.time()}, file)
        fresh.replace(self._file)

    def read(self) -> dict[str, Any] | None:
        """The last line; None when no run of the job has said anything here."""
        try:
            line = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return line if isinstance(line, dict) else None
