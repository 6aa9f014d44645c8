"""What a running job last said, and what it is told to do: notes beside its journal, for terminals anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hub_tools.jobs.journal import operator_name
from hub_tools.jobs.journals import STATUS_NOTE
from hub_tools.jobs.progress import JobProgress
from hub_tools.jobs.storage import JobStorage

__all__ = ["JobStatus", "Request", "now_and_then"]

STATUS_EVERY_S = 0.5
_STOP, _APPROVAL = "stop", "approval"


@dataclass(frozen=True, kw_only=True)
class Request:
    """Who wants something of a job, and why; `wave` is the one of an approval, from 1."""

    operator: str
    reason: str = ""
    wave: int = 0

    @classmethod
    def mine(cls, reason: str | None, *, wave: int = 0) -> Request:
        """That of whoever works here."""
        return cls(operator=operator_name(), reason=reason or "", wave=wave)

    def __str__(self) -> str:
        return f"by {self.operator}{f': {self.reason}' if self.reason else ''}"


class JobStatus:
    """The notes of one job. StoreError where they cannot be reached."""

    def __init__(self, storage: JobStorage) -> None:
        self._storage = storage
        self.look_every_s = storage.look_every_s
        """Seconds between two looks that are no burden."""

    def write(self, line: dict[str, Any]) -> None:
        """The last line of JSON that the run printed, or would have, in place of the one before."""
        self._storage.put(STATUS_NOTE, json.dumps({**line, "at": time.time()}).encode())

    def read(self) -> dict[str, Any] | None:
        """That line; None when no run of the job has said anything."""
        return self._note(STATUS_NOTE)

    def ask_to_stop(self, request: Request) -> None:
        """Tell the run of the job to stop."""
        self._storage.put(_STOP, json.dumps(asdict(request)).encode())

    def asked_to_stop(self) -> Request | None:
        """Who told it to; None when nobody did."""
        return self._request(_STOP)

    def forget_stop(self) -> None:
        """What was told to a former run does not concern the next."""
        self._storage.drop(_STOP)

    def approve(self, request: Request) -> None:
        """Tell the run of a rollout, now or later, that a wave may begin."""
        self._storage.put(_APPROVAL, json.dumps(asdict(request)).encode())

    def approval(self, wave: int) -> Request | None:
        """Who approved the wave; None while nobody has."""
        request = self._request(_APPROVAL)
        return request if request is not None and request.wave == wave else None

    def _request(self, name: str) -> Request | None:
        found = self._note(name)
        return None if found is None else Request(**found)

    def _note(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._storage.get(name) or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


def now_and_then(status: JobStatus, beside: Callable[[], dict[str, Any]]) -> Callable[[JobProgress], None]:
    """Writes progress down, with what is to be told beside it, not more often than others look."""
    last = 0.0

    def write(progress: JobProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= max(STATUS_EVERY_S, status.look_every_s):
            last = time.monotonic()
            status.write({**beside(), **progress.to_json()})

    return write
