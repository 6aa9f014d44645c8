"""What a running job last said, and whether it shall stop: notes beside its journal, for terminals anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from hub_tools.jobs.runner import JobProgress
from hub_tools.jobs.storage import JobStorage

__all__ = ["JobStatus", "now_and_then"]

STATUS_EVERY_S = 0.5
_STATUS, _STOP = "status", "stop"


class JobStatus:
    """The notes of one job. StoreError where they cannot be reached."""

    def __init__(self, storage: JobStorage) -> None:
        self._storage = storage
        self.look_every_s = storage.look_every_s
        """Seconds between two looks that are no burden."""

    def write(self, line: dict[str, Any]) -> None:
        """The last line of JSON that the run printed, or would have, in place of the one before."""
        self._storage.put(_STATUS, json.dumps({**line, "at": time.time()}).encode())

    def read(self) -> dict[str, Any] | None:
        """That line; None when no run of the job has said anything."""
        try:
            line = json.loads(self._storage.get(_STATUS) or b"null")
        except ValueError:
            return None
        return line if isinstance(line, dict) else None

    def ask_to_stop(self) -> None:
        """Tell the run of the job to stop."""
        self._storage.put(_STOP, b"")

    def asked_to_stop(self) -> bool:
        """Whether somebody told it to."""
        return self._storage.get(_STOP) is not None

    def forget_stop(self) -> None:
        """What was told to a former run does not concern the next."""
        self._storage.drop(_STOP)


def now_and_then(status: JobStatus) -> Callable[[JobProgress], None]:
    """Writes progress down, not more often than others look."""
    last = 0.0

    def write(progress: JobProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= max(STATUS_EVERY_S, status.look_every_s):
            last = time.monotonic()
            status.write(progress.to_json())

    return write
