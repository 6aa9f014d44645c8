"""A HubClient for a module that stands alone: no hub, messages as JSON lines.

In, one line a message:   {"input": "telemetry", "body": {…}, "properties": {…}, "system": {…}}
Out, one line a message:  {"output": "alerts", "body": {…}, "properties": {…}, "system": {…}}

A body that is not JSON is text; one that is not UTF-8 goes out as {"base64": "…"}. A direct method is a line
{"method": "reboot", "payload": …}, answered by {"method": "reboot", "status": 200, "payload": …}. The desired
properties are read from a file once; the reported ones are kept in memory only.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog

from device.client import (
    ConnectionCallback,
    DesiredCallback,
    InputCallback,
    MethodAnswer,
    MethodCall,
    MethodCallback,
)
from device.errors import HubRefusedError
from iot_core.errors import InputError, StoreError
from iot_core.message import Message
from iot_core.twin import merge_patch

__all__ = ["StandaloneClient"]

AHEAD = 1_000  # lines read before the module has taken them; a long file is not held in memory
AGAIN_S = 1.0  # until a message that the module did not take is handed in again
log = structlog.get_logger("standalone")


class StandaloneClient:
    """Reads `source` (standard input), writes `sink` (standard output); the end of the input does not end it."""

    def __init__(
        self, *, twin: Path | None = None, source: Iterable[str] | None = None, sink: TextIO | None = None
    ) -> None:
        """`twin` is a JSON file of desired properties; InputError if it cannot be read."""
        self._desired = {} if twin is None else _read_twin(twin)
        self._reported: dict[str, Any] = {}
        self._source = source
        self._sink = sink
        self._method: MethodCallback | None = None
        self._input: InputCallback | None = None
        self._connection: ConnectionCallback | None = None
        self._task: asyncio.Task[None] | None = None
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)

    def on_desired(self, callback: DesiredCallback) -> None:
        """The desired properties never change here."""

    def on_method(self, callback: MethodCallback) -> None:
        self._method = callback

    def on_input(self, callback: InputCallback) -> None:
        self._input = callback

    def on_connection_state(self, callback: ConnectionCallback) -> None:
        self._connection = callback

    async def connect(self) -> None:
        if self._connection is not None:
            await self._connection(True)
        if self._task is None:
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._read, args=(loop,), name="standalone-input", daemon=True).start()
            self._task = asyncio.create_task(self._take_lines())

    async def disconnect(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def get_twin(self) -> dict[str, Any]:
        return {"desired": {**self._desired, "$version": 1}, "reported": {**self._reported, "$version": 1}}

    async def update_reported(self, patch: dict[str, Any]) -> None:
        self._reported = merge_patch(self._reported, patch)

    async def send(self, message: Message) -> None:
        self._write({"output": None, **_document(message)})

    async def send_to_output(self, message: Message, output: str) -> None:
        self._write({"output": output, **_document(message)})

    async def invoke_method(
        self, call: MethodCall, device_id: str, module_id: str | None = None, **times: int
    ) -> MethodAnswer:
        raise HubRefusedError("a module that stands alone cannot call direct methods: there is no edge hub")

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """On a thread of its own: reading standard input blocks."""
        try:
            for line in self._source if self._source is not None else sys.stdin:
                self._room.acquire()
                loop.call_soon_threadsafe(self._lines.put_nowait, line)
            loop.call_soon_threadsafe(self._lines.put_nowait, None)
        except (RuntimeError, ValueError):
            return  # The loop or the input is closed: the process ends.

    async def _take_lines(self) -> None:
        while (line := await self._lines.get()) is not None:
            self._room.release()
            if line.strip():
                try:
                    await self._take(line)
                except InputError as error:
                    log.warning("line not taken", reason=str(error))
        log.info("end of the input")

    async def _take(self, line: str) -> None:
        document = _parsed(line)
        if isinstance(name := document.get("method"), str):
            await self._call(name, document.get("payload"))
        elif isinstance(name := document.get("input"), str):
            if self._input is not None:
                await self._hand_in(name, _message(document))
        else:
            raise InputError('a line needs "input" or "method", the name of one')

    async def _hand_in(self, name: str, message: Message) -> None:
        """Until the module takes it, as an edge hub would."""
        while self._input is not None:
            try:
                await self._input(name, message)
                return
            except StoreError:
                await asyncio.sleep(AGAIN_S)

    async def _call(self, name: str, payload: Any) -> None:
        if self._method is not None:
            answer = await self._method(MethodCall(name=name, payload=payload))
            self._write({"method": name, "status": answer.status, "payload": answer.payload})

    def _write(self, document: dict[str, Any]) -> None:
        sink = self._sink if self._sink is not None else sys.stdout
        sink.write(orjson.dumps(document).decode() + "\n")
        sink.flush()


def _parsed(line: str) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"a line of the input is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError("a line of the input is not a JSON object")
    return document


def _message(document: dict[str, Any]) -> Message:
    body = document.get("body", {})
    system = {"contentType": "application/json", "contentEncoding": "utf-8", **_texts(document, "system")}
    return Message(
        body.encode() if isinstance(body, str) else orjson.dumps(body), {**_texts(document, "properties")}, system
    )


def _texts(document: dict[str, Any], name: str) -> dict[str, str]:
    values = document.get(name, {})
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise InputError(f'"{name}" of a line must be an object of texts')
    return values


def _document(message: Message) -> dict[str, Any]:
    return {"body": _body(message.body), "properties": dict(message.properties), "system": dict(message.system)}


def _body(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def _read_twin(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"--twin {path}: the desired properties cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"--twin {path}: the desired properties must be a JSON object")
    return document
