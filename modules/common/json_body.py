"""JSON bodies of messages: reading records, picking fields, writing answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from iot_core.errors import MessageError
from iot_core.message import Message

__all__ = ["json_message", "numbers_at", "records", "text_at", "value_at"]

JSON_TYPE = {"contentType": "application/json", "contentEncoding": "utf-8"}
"""Without both, routes cannot look into the body (IoT Hub developer guide, "IoT Hub message routing query syntax",
"Message routing query based on message body")."""


def records(body: bytes) -> list[dict[str, Any]]:
    """The objects in a body that is one JSON object or an array of them; MessageError for anything else."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MessageError(f"the body is not JSON: {error}") from None
    found = document if isinstance(document, list) else [document]
    for position, record in enumerate(found):
        if not isinstance(record, dict):
            where = f"item {position} of the body" if isinstance(document, list) else "the body"
            raise MessageError(f"{where} is not a JSON object but {_kind(record)}")
    return found


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path ("machine.temperature"); a name that itself has dots is tried first; MessageError if
    there is none."""
    if path in record:
        return record[path]
    value: Any = record
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise MessageError(f"the record has no field {path!r}")
        value = value[name]
    return value


def numbers_at(record: Mapping[str, Any], path: str) -> list[float]:
    """The finite number at a path, or the array of them, oldest first; MessageError for anything else."""
    value = value_at(record, path)
    values = value if isinstance(value, list) else [value]
    for number in values:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise MessageError(f"the field {path!r} is not a number but {_kind(number)}")
    return [float(number) for number in values]


def text_at(record: Mapping[str, Any], path: str) -> str:
    """The text at a path; MessageError for anything else."""
    value = value_at(record, path)
    if not isinstance(value, str):
        raise MessageError(f"the field {path!r} is not text but {_kind(value)}")
    return value


def json_message(content: Mapping[str, Any], origin: Message, properties: Mapping[str, str]) -> Message:
    """An answer to `origin`: `content` as its body, the origin's own properties below `properties`, its message id as
    correlation id."""
    system = dict(JSON_TYPE)
    if message_id := origin.system.get("messageId"):
        system["correlationId"] = message_id
    return Message(orjson.dumps(content), {**origin.properties, **properties}, system)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "an array", dict: "an object"}
    return names.get(type(value), type(value).__name__)
