"""The engine of local processes: every module is a process group of its own on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iot_core.clock import Clock
from local_edge.engines import leftovers
from local_edge.engines.base import ExitListener, LaunchSpec, ModuleExit
from local_edge.engines.images import ImageTable
from local_edge.engines.module_log import ModuleLog, log_path, read_log
from local_edge.engines.monitoring_ports import MonitoringPorts
from local_edge.engines.output import OutputPipe
from local_edge.errors import EngineError

__all__ = ["STOP_PATIENCE_S", "ProcessEngine"]

STOP_PATIENCE_S = 10.0
"""Seconds between SIGTERM and SIGKILL, as `docker stop` waits."""

PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""What modules see of the edge's own environment: nothing that could hold a hub's connection string."""


@dataclass(kw_only=True)
class _Running:
    process: asyncio.subprocess.Process
    watcher: asyncio.Task[None]
    stopping: bool = False


class ProcessEngine:
    """An `Engine`: images are commands of `table`; state lies in `home` (logs/, run/, modules/<name>/)."""

    def __init__(
        self, table: ImageTable, *, home: Path, host: str, clock: Clock, stop_patience_s: float = STOP_PATIENCE_S
    ) -> None:
        self.on_exit: ExitListener = lambda _: None
        self._table = table
        self.home = home
        self._host = host
        self._monitoring = MonitoringPorts(host)
        self._clock = clock
        self._stop_patience_s = stop_patience_s
        self._running: dict[str, _Running] = {}

    @property
    def _notes(self) -> Path:
        return self.home / "run"

    def end_leftovers(self) -> list[str]:
        """Kill modules of an edge that was killed in this home before; their names."""
        return leftovers.end_leftovers(self._notes)

    def ports(self, image: str, bound: Mapping[str, int]) -> Mapping[str, int]:
        """`bound`, and every port that the command of `image` names with its own number."""
        return {key: int(key.partition("/")[0]) for key in self._table.ports(image)} | dict(bound)

    async def start(self, spec: LaunchSpec) -> None:
        if spec.name in self._running:
            raise EngineError(f"module {spec.name} already runs")
        command = self._table.command(spec.image, host=self._host, ports=spec.ports) + list(spec.arguments)
        output = OutputPipe(ModuleLog(log_path(self.home, spec.name)))
        try:
            process = await self._spawn(command, spec, output.write_end)
        except BaseException as error:
            output.discard()
            if not isinstance(error, OSError):
                raise
            raise EngineError(f"module {spec.name}: {command[0]} cannot be started: {error.strerror}") from None
        output.handed_over()
        leftovers.note(self._notes, spec.name, process.pid)
        watcher = asyncio.create_task(self._watch(spec.name, process, output), name=f"module {spec.name}")
        self._running[spec.name] = _Running(process=process, watcher=watcher)

    async def stop(self, name: str) -> None:
        running = self._running.get(name)
        if running is None:
            return
        running.stopping = True
        _signal_group(running.process.pid, signal.SIGTERM)
        done, _ = await asyncio.wait([running.watcher], timeout=self._stop_patience_s)
        if not done:
            _signal_group(running.process.pid, signal.SIGKILL)
            await running.watcher

    async def logs(self, name: str, tail: int | None = None) -> str:
        return await asyncio.to_thread(read_log, log_path(self.home, name), tail)

    async def close(self) -> None:
        await asyncio.gather(*(self.stop(name) for name in list(self._running)))

    def pid(self, name: str) -> int | None:
        """The process id of a running module."""
        running = self._running.get(name)
        return running.process.pid if running else None

    async def _spawn(self, command: list[str], spec: LaunchSpec, output: int) -> asyncio.subprocess.Process:
        folder = self.home / "modules" / spec.name
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = {"TMPDIR": str(temporary), **self._monitoring.environment(spec.name, spec.ports)}
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=self._base_environment() | own | dict(spec.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _base_environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        packages = str(Path(__file__).resolve().parents[2])
        search_path = [str(self._table.project), packages, *filter(None, [os.environ.get("PYTHONPATH")])]
        return passed | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(search_path)), "PYTHONUNBUFFERED": "1"}

    async def _watch(self, name: str, process: asyncio.subprocess.Process, output: OutputPipe) -> None:
        code = await process.wait()
        # Whatever the module started ends with it, as in a container.
        _signal_group(process.pid, signal.SIGKILL)
        await output.close()
        leftovers.forget(self._notes, name)
        self._ended(name, code if code >= 0 else 128 - code)

    def _ended(self, name: str, code: int) -> None:
        running = self._running.pop(name)
        if not running.stopping:
            self.on_exit(ModuleExit(name=name, exit_code=code, at=self._clock.now()))


def _signal_group(pid: int, number: signal.Signals) -> None:
    # On macOS a group whose members are all zombies answers EPERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
