"""An Azure ML entry script in a model's place: processes that run it, and what becomes of their failures.

Answers are those of azureml-inference-server-http: 200 with the JSON text of what run() gives; 400 for a body that is
no UTF-8; 500 with a fixed message and x-ms-run-function-failed when run() raises or takes too long. A process that
died or was stopped is replaced.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from iot_core.errors import InputError
from modules.scorer.script_worker import LENGTHS, frame
from modules.scorer.specification import ModelSpec
from modules.scorer.workers import WAITING_PER_WORKER, BusyError

__all__ = ["ScriptAnswer", "ScriptModel"]

PYTHON = "SCORER_SCRIPT_PYTHON"
"""Variable: the interpreter of scripts, used where there is such a file: images have one if the script needs it."""
WORKER = Path(__file__).with_name("script_worker.py")
START_S = 300.0  # for init(), which may load a large model
END_S = 1.0  # for a process to end once its input is closed
SECRETS = ("SCORER_KEY", "SCORER_KEY_FILE", "EdgeHubConnectionString", "IOTHUB_CONNECTION_STRING")
"""Variables that a script is not given."""
FAILED = {"x-ms-run-function-failed": "True"}
WELL = {"x-ms-run-function-failed": "False"}
UNEXPECTED = "An unexpected internal error occurred. Check the logs for more info."
log = structlog.get_logger("scorer")


@dataclass(frozen=True, kw_only=True)
class ScriptAnswer:
    """The HTTP answer to one request; `message` instead of a body when it failed."""

    status: int = 200
    body: bytes = b""
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class ScriptModel:
    """The entry script of one specification. Use from one event loop."""

    def __init__(self, name: str, spec: ModelSpec, path: Path) -> None:
        self.name = name
        self.spec = spec
        self._path = path
        self._idle: asyncio.Queue[_Process | None] = asyncio.Queue()
        self._calls = 0
        self._done = asyncio.Event()

    async def start(self) -> None:
        """Start the processes and wait for their init(); InputError when one fails."""
        try:
            self.sha256 = hashlib.sha256(await asyncio.to_thread(self._path.read_bytes)).hexdigest()
        except OSError as error:
            raise InputError(f"{self._path}: {error.strerror}") from None
        try:
            for _ in range(self.spec.processes):
                self._idle.put_nowait(await self._started())
        except BaseException:
            await self.close()
            raise

    async def call(self, headers: Mapping[str, str], body: bytes | bytearray) -> ScriptAnswer:
        """run() on a body; BusyError when too many calls wait."""
        if self._calls >= self.spec.processes * (1 + WAITING_PER_WORKER):
            raise BusyError(f"{self._calls} requests are waiting: try again in a moment")
        self._calls += 1
        process: _Process | None = None
        try:
            process = await self._idle.get() or await self._started()
            answer, whole = await self._exchange(process, dict(headers), body)
        except BaseException:
            await self._give_back(process, whole=False)
            raise
        finally:
            self._calls -= 1
            self._done.set()
        await self._give_back(process, whole=whole)
        return answer

    async def close(self) -> None:
        """End the processes once the calls under way are answered."""
        while self._calls:
            self._done.clear()
            await self._done.wait()
        while not self._idle.empty():
            if (process := self._idle.get_nowait()) is not None:
                await process.end()

    def information(self) -> dict[str, Any]:
        """What GET /models says."""
        return {"name": self.name, "sha256": self.sha256, "task": "script", "provider": "script", "labels": []}

    async def _started(self) -> _Process:
        folder = self._path.parent
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        environment |= {"AZUREML_MODEL_DIR": self.spec.model_dir or str(folder), "AML_APP_ROOT": str(folder)}
        process = _Process(
            await asyncio.create_subprocess_exec(
                _interpreter(), str(WORKER), str(self._path), stdin=PIPE, stdout=PIPE, cwd=folder, env=environment
            )
        )
        try:
            header, _ = await asyncio.wait_for(process.read(), START_S)
        except (TimeoutError, asyncio.IncompleteReadError):
            await process.kill()
            raise InputError(f"script {self._path.name}: init() did not come to an end") from None
        if "error" in header:
            await process.kill()
            raise InputError(f"script {self._path.name}: {header['message']}")
        return process

    async def _exchange(
        self, process: _Process, headers: dict[str, str], body: bytes | bytearray
    ) -> tuple[ScriptAnswer, bool]:
        """The answer, and whether the process can go on."""
        try:
            async with asyncio.timeout(self.spec.timeout):
                header, result = await process.exchange(headers, body)
        except TimeoutError:
            milliseconds = round(self.spec.timeout * 1000)
            log.warning("entry script took too long", model=self.name, timeout_s=self.spec.timeout)
            return ScriptAnswer(
                status=500, message=f"Scoring timeout after {milliseconds} ms", headers=dict(FAILED)
            ), False
        except (asyncio.IncompleteReadError, OSError):
            log.warning("entry script ended", model=self.name)
            return _script_failed(), False
        return _answer(header, result), True

    async def _give_back(self, process: _Process | None, *, whole: bool) -> None:
        """None stands in the queue for a process that the next call starts anew."""
        if process is not None and not whole:
            await process.kill()
        self._idle.put_nowait(process if whole else None)


class _Process:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._input, self._output = process, process.stdin, process.stdout

    async def exchange(self, headers: dict[str, str], body: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
        self._input.write(frame({"headers": headers}, bytes(body)))
        await self._input.drain()
        return await self.read()

    async def read(self) -> tuple[dict[str, Any], bytes]:
        header_length, body_length = LENGTHS.unpack(await self._output.readexactly(LENGTHS.size))
        header = json.loads(await self._output.readexactly(header_length))
        return header, await self._output.readexactly(body_length)

    async def end(self) -> None:
        """Close its input and wait for the end, a moment; then kill it."""
        self._input.close()
        try:
            await asyncio.wait_for(self._process.wait(), END_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        self._input.close()
        await self._process.wait()


def _interpreter() -> str:
    named = os.environ.get(PYTHON, "")
    return named if named and Path(named).is_file() else sys.executable


def _answer(header: dict[str, Any], result: bytes) -> ScriptAnswer:
    if header.get("ok"):
        return ScriptAnswer(body=result, headers={"x-ms-run-fn-exec-ms": f"{header['ms']:.3f}"} | WELL)
    if header["error"] == "BadInput":
        return ScriptAnswer(status=400, message=header["message"])
    if header["error"] == "NotJson":
        return ScriptAnswer(status=500, message=UNEXPECTED)
    return _script_failed()


def _script_failed() -> ScriptAnswer:
    text = "An unexpected error occurred in scoring script. Check the logs for more info."
    return ScriptAnswer(status=500, message=text, headers=dict(FAILED))
