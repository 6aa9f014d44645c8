"""Direct methods of `$edgeAgent`.

Names, payloads and answers: IoT Edge documentation, "Communicate with edgeAgent using built-in direct methods" and
"Retrieve logs from IoT Edge deployments". Methods that upload to a storage account are refused by name.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from iot_core.errors import EdgeyardError, InputError
from local_edge.engines.base import Engine

__all__ = ["AgentMethods", "MethodAnswer"]

MethodAnswer = tuple[int, Any]
"""Status and payload (any JSON value, None for empty)."""

MAX_ANSWER_BYTES = 127_000
"""What the real agent allows for logs in one answer, under the 128 KB of a method response."""

_NOT_BUILT = ("UploadModuleLogs", "UploadSupportBundle", "GetTaskStatus")
_LATER_FILTERS = ("since", "until", "loglevel")


class AgentMethods:
    """Answers the direct methods; names are compared without regard to case."""

    def __init__(
        self, *, restart: Callable[[str], Awaitable[None]], names: Callable[[], Collection[str]], engine: Engine
    ) -> None:
        self._restart = restart
        self._names = names
        self._engine = engine
        self._handlers: dict[str, Callable[[Any], Awaitable[MethodAnswer]]] = {
            "ping": self._ping,
            "restartmodule": self._restart_module,
            "getmodulelogs": self._get_module_logs,
        }

    async def call(self, name: str, payload: Any) -> MethodAnswer:
        """200 with a result, 400 for a bad name or payload, 500 when it could not be done; both with a message."""
        handler = self._handlers.get(name.lower())
        if handler is None:
            return 400, {"message": _unknown(name)}
        try:
            return await handler(payload)
        except InputError as error:
            return 400, {"message": str(error)}
        except EdgeyardError as error:
            return 500, {"message": str(error)}

    async def _ping(self, _: Any) -> MethodAnswer:
        return 200, None

    async def _restart_module(self, payload: Any) -> MethodAnswer:
        name = _checked(payload).get("id")
        if not isinstance(name, str):
            raise InputError("RestartModule needs the module's name as id")
        await self._restart(name)
        return 200, None

    async def _get_module_logs(self, payload: Any) -> MethodAnswer:
        request = _checked(payload)
        encoding = _choice(request, "encoding", ("none", "gzip"), "none")
        content_type = _choice(request, "contentType", ("text", "json"), "text")
        answer = []
        for name, item in self._matches(_items(request)):
            lines = _filtered(await self._engine.logs(name, _tail(item)), item)
            answer.append({"id": name} | _encoded(_shaped(lines, name, content_type), encoding))
        size = len(json.dumps(answer))
        if size > MAX_ANSWER_BYTES:
            raise InputError(f"the logs have {size} bytes, {MAX_ANSWER_BYTES} are allowed; ask for a shorter tail")
        return 200, answer

    def _matches(self, items: Iterable[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
        for item in items:
            pattern = _pattern(item.get("id"))
            yield from ((name, item) for name in sorted(self._names()) if pattern.search(name))


def _unknown(name: str) -> str:
    built = ", ".join(("ping", "RestartModule", "GetModuleLogs"))
    if name.lower() in (known.lower() for known in _NOT_BUILT):
        return f"{name} is not built into this local edge; it answers {built}"
    return f"no method {name}; the agent answers {built}"


def _checked(payload: Any) -> dict[str, Any]:
    if not isinstance(payload, dict) or str(payload.get("schemaVersion")) != "1.0":
        raise InputError('the payload must be an object with schemaVersion "1.0"')
    return payload


def _items(request: dict[str, Any]) -> list[dict[str, Any]]:
    items = request.get("items")
    listed = [items] if isinstance(items, dict) else items
    if not isinstance(listed, list) or not listed or not all(isinstance(item, dict) for item in listed):
        raise InputError("items must be one object or a list of objects with id and filter")
    return listed


def _tail(item: dict[str, Any]) -> int | None:
    rules = _filter(item)
    unknown = [name for name in _LATER_FILTERS if name in rules]
    if unknown:
        raise InputError(f"filter {unknown[0]} is not built into this local edge; use tail and regex")
    tail = rules.get("tail")
    if tail is not None and (isinstance(tail, bool) or not isinstance(tail, int) or tail < 1):
        raise InputError(f"filter tail is {tail!r}; a number of lines is needed")
    return tail


def _filter(item: dict[str, Any]) -> dict[str, Any]:
    rules = item.get("filter") or {}
    if not isinstance(rules, dict):
        raise InputError("filter must be an object")
    return rules


def _filtered(text: str, item: dict[str, Any]) -> list[str]:
    lines = text.splitlines()
    wanted = _filter(item).get("regex")
    return lines if wanted is None else [line for line in lines if _pattern(wanted).search(line)]


def _pattern(text: object) -> re.Pattern[str]:
    try:
        return re.compile(text if isinstance(text, str) else "(")
    except re.error:
        raise InputError(f"{text!r} is not a regular expression") from None


def _shaped(lines: list[str], name: str, content_type: str) -> str:
    if content_type == "text":
        return "".join(f"{line}\n" for line in lines)
    return json.dumps([{"id": name, "text": line} for line in lines])


def _encoded(text: str, encoding: str) -> dict[str, str]:
    if encoding == "none":
        return {"payload": text}
    return {"payloadBytes": base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()}


def _choice(request: dict[str, Any], key: str, allowed: tuple[str, ...], default: str) -> str:
    value = str(request.get(key, default)).lower()
    if value not in allowed:
        raise InputError(f"{key} is {value!r}; one of {', '.join(allowed)} is needed")
    return value
