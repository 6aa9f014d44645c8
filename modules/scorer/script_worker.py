"""Runs an Azure ML entry script in a process of its own: `python script_worker.py score.py`.

Started by modules.scorer.script. It needs nothing but the standard library, so that the script's own environment
decides the rest. On standard input come requests, on standard output go answers; what the script prints goes to
standard error. A frame is two big-endian 32-bit lengths, a JSON header and a body.

    request  {"headers": {…}} and the body        answer  {"ok": true, "ms": …} and the result as JSON
                                                          {"error": "BadInput" | "NotJson" | "Script", "message": …}
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")
HEADERS = "request_headers"
"""A parameter of run() with this name is given the headers of the request."""
RAW_HTTP = ("azureml_inference_server_http.api.aml_request", "azureml.contrib.services.aml_request")
"""Modules that note when a script asks for the request object of Flask."""


class BadInput(Exception):
    """The body of a request is not what the script takes."""


class NotJson(Exception):
    """What run() returned cannot be written as JSON."""


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """A header and a body; None at the end of the stream."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header_length, body_length = LENGTHS.unpack(lengths)
    return json.loads(stream.read(header_length)), stream.read(body_length)


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A header and a body as bytes."""
    text = json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


class Script:
    """An entry script: init() once, then run() for each request."""

    def __init__(self, path: str) -> None:
        """Loads the file and calls its init(); whatever it raises goes up."""
        sys.path.insert(0, os.path.dirname(path))
        spec = importlib.util.spec_from_file_location("entry_module", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name in ("init", "run"):
            if not callable(getattr(module, name, None)):
                raise ValueError(f"{path} has no function {name}()")
        self._run: Callable[..., Any] = module.run
        self._parameters = _parameters(self._run)
        self._data = next(name for name in self._parameters if name != HEADERS)
        self._decorated = _is_decorated(self._run)
        module.init()

    def call(self, headers: dict[str, str], body: bytes) -> bytes:
        """The result of run() as JSON text, {} for None; BadInput, NotJson, or what the script raises."""
        arguments = self._objects(body) if self._decorated else {self._data: _text(body)}
        if HEADERS in self._parameters:
            arguments[HEADERS] = headers
        result = self._run(**arguments)
        try:
            return json.dumps({} if result is None else result).encode()
        except (TypeError, ValueError) as error:
            raise NotJson(str(error)) from None

    def _objects(self, body: bytes) -> dict[str, Any]:
        """What a run() decorated with @input_schema takes: the members of a JSON object by name."""
        try:
            document = json.loads(body)
        except ValueError as error:
            raise BadInput(f"POST body could not be decoded as JSON: {error}") from None
        if not isinstance(document, dict):
            raise BadInput("POST body should be a JSON dictionary.")
        found: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            if name != HEADERS:
                found[name] = document.get(name, parameter.default)
                if found[name] is inspect.Parameter.empty:
                    raise BadInput(f"A value is not provided for the {name!r} parameter.")
        return found


def _parameters(run: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(run).parameters)
    allowed = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind not in allowed for parameter in parameters.values()):
        raise ValueError("run() must not take positional-only parameters, *args or **kwargs")
    if not set(parameters) - {HEADERS}:
        raise ValueError("run() takes no parameter for its data")
    if any(getattr(sys.modules.get(name), "_rawHttpRequested", False) for name in RAW_HTTP):
        raise ValueError("run() is decorated with @rawhttp, which is not supported here: take the body as text")
    return parameters


def _is_decorated(run: Callable[..., Any]) -> bool:
    """True if the package inference-schema is there and has decorated run()."""
    try:
        from inference_schema.schema_util import is_schema_decorated  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return False
    return bool(is_schema_decorated(run))


def _text(body: bytes) -> Any:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"Input cannot be decoded as UTF-8: {error}") from None


def _answer(script: Script, header: dict[str, Any], body: bytes) -> bytes:
    start = time.perf_counter()
    try:
        result = script.call(header["headers"], body)
    except BadInput as error:
        return frame({"error": "BadInput", "message": str(error)})
    except Exception as error:
        traceback.print_exc()
        return frame({"error": "NotJson" if isinstance(error, NotJson) else "Script", "message": ""})
    return frame({"ok": True, "ms": (time.perf_counter() - start) * 1000}, result)


def main(path: str) -> int:
    """Serve until standard input ends; 3 when the script cannot be loaded, as Azure ML's server."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # print() of the script must not get between the frames
    requests = sys.stdin.buffer
    try:
        script = Script(path)
    except BaseException as error:
        traceback.print_exc()
        answers.write(frame({"error": "Init", "message": f"{type(error).__name__}: {error}"}))
        answers.flush()
        return 3
    answers.write(frame({"ok": True}))
    answers.flush()
    while (request := read_frame(requests)) is not None:
        answers.write(_answer(script, *request))
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
