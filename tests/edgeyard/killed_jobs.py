"""Commands whose process is killed by SIGKILL at their n-th step, n = 1, 2, …, and what the next command makes of it.

    python -m tests.edgeyard.killed_jobs KIND CONNECTION_STRING HOME DEVICE…

KIND is run, bulk (a run by bulk writes), rollout, tagged (a rollout that tags its devices; killed until it has) or
undo. A step is a write to the journal or to the hub, and the kill
comes just before it; several devices are written to at the same time, so it meets the others anywhere. Every attempt
has a value of its own.
Prints a line of JSON for each: whether the command was killed, how the second ended, and what the devices have then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeyard.cli.main import run
from hub_tools.jobs.storage import FolderStorage
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from local_hub.home import HubHome

WHERE = ("--where", "tags.fleet = 'killed'")
KNOWN = "SELECT deviceId, version FROM devices WHERE tags.fleet = 'killed'"
ROLLOUT = ("--canary", "1", "--waves", "100%", "--require", "success >= 100%")


class Killer:
    """Kills this process at the n-th step; 0: never."""

    def __init__(self, step: int) -> None:
        self._left = step

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Count the steps of this process from now on."""
        append, replace, call = FolderStorage.append, FolderStorage.replace, RestHubService.call

        def counted(work: Callable[[FolderStorage, bytes], None]) -> Callable[[FolderStorage, bytes], None]:
            def write(storage: FolderStorage, data: bytes) -> None:
                self.step()
                work(storage, data)

            return write

        async def counted_call(service: RestHubService, method: str, path: str, *arguments: Any, **options: Any) -> Any:
            if method != "GET" and not path.endswith("/query"):
                self.step()
            return await call(service, method, path, *arguments, **options)

        setattr(FolderStorage, "append", counted(append))  # noqa: B010
        setattr(FolderStorage, "replace", counted(replace))  # noqa: B010
        setattr(RestHubService, "call", counted_call)  # noqa: B010


class Attempts:
    """One kind of command on one fleet."""

    def __init__(self, kind: str, connection: str, home: Path, devices: list[str]) -> None:
        self._kind = kind
        self._policy = ConnectionString.parse(connection)
        self._home = home
        self._devices = devices
        self._common = ("--hub", connection, "--home", str(home), "--yes", "--output", "json")

    def make(self) -> Iterator[dict[str, Any]]:
        """An attempt for each step, until one gets through."""
        step, killed = 0, True
        while killed:
            step += 1
            change = (*WHERE, "--desired", f"rate={step}", "--no-wait", "--schema", "none", *self._place(step))
            before = self._desired()
            if self._kind == "undo":
                self._in_a_child("run", *change)
                killed = self._in_a_child("undo", self._job(step), *self._place(step), step=step) == -signal.SIGKILL
                code = self._in_a_child("undo", self._job(step), *self._place(step))
            else:
                in_waves = self._kind in ("rollout", "tagged")
                more = ROLLOUT if in_waves else ("--path", "bulk" if self._kind == "bulk" else "direct")
                more = (*more, "--cohort-tag", f"wave{step}") if self._kind == "tagged" else more
                verb = "rollout" if in_waves else "run"
                killed = self._in_a_child(verb, *change, *more, step=step) == -signal.SIGKILL
                if self._kind == "tagged" and self._begun_with_waves(step):
                    return
                again = ("rollout", "--resume") if in_waves else ("resume",)
                code = self._in_a_child(*again, self._job(step), *self._place(step))
            yield {"step": step, "killed": killed, "code": code, "before": before, "after": self._desired()}

    def _place(self, step: int) -> tuple[str, str]:
        return "--journal", str(self._home / "jobs" / str(step))

    def _job(self, step: int) -> str:
        """The one job whose journal was begun in this attempt."""
        folder = self._home / "jobs" / str(step)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return min(names, key=len, default="none")

    def _begun_with_waves(self, step: int) -> bool:
        journal = self._home / "jobs" / str(step) / self._job(step) / "journal"
        return journal.exists() and b'"state":"running"' in journal.read_bytes()

    def _in_a_child(self, *arguments: str, step: int = 0) -> int:
        """The exit code of a command, or minus the signal that ended it."""
        sys.stdout.flush()
        if not (child := os.fork()):
            log = os.open(self._home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            Killer(step).watch()
            os._exit(run(("job", *arguments, *self._common)))
        status = os.waitpid(child, 0)[1]
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _desired(self) -> list[tuple[Any, int]]:
        """The rate of each device, and the version of its twin, which counts the writes to it.

        Returns once queries know it too, as an operator would wait before the next job.
        """

        async def read() -> list[tuple[Any, int]]:
            async with RestHubService(self._policy, ca_file=HubHome(self._home).authority) as service:
                twins = [await service.get_twin(Identity(name)) for name in self._devices]
                versions = {twin["deviceId"]: twin["version"] for twin in twins}
                while {row["deviceId"]: row["version"] async for row in service.query(KNOWN)} != versions:
                    await asyncio.sleep(0.05)
            return [(twin["properties"]["desired"].get("rate"), twin["version"]) for twin in twins]

        return asyncio.run(read())


if __name__ == "__main__":
    for attempt in Attempts(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]).make():
        print(json.dumps(attempt), flush=True)
