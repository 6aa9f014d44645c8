"""What of a hub's answer can be compared: a fact per place, with all that differs by nature written as its shape.

Ids of the probe become ``{p}``, the host ``{hub}``; times, tracking ids, keys, ETags and generation ids become their
format; the free text of an error becomes ``<text>``. Lists of objects are put in an order of their own, because a hub
promises none.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hub_tools.replies import Reply

__all__ = ["STATUS", "Facts", "observe", "observe_document"]

Facts = dict[str, str]
"""Place in the answer ("status", "header etag", "body.deviceId") → what is there."""

STATUS = "status"
ERROR_HEADER = "iothub-errorcode"
_OF_THE_CONNECTION = frozenset(
    [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "strict-transport-security",
        "transfer-encoding",
        "vary",
        "via",
    ]
)
"""Headers that servers and proxies add, whatever the operation."""
_SHAPED_HEADERS = frozenset({"etag", "x-ms-continuation", "x-ms-request-id", "request-id"})
_GUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_ISO_TIME = re.compile(r"\b(?!0001-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")
_US_TIME = re.compile(r"\b\d\d/\d\d/\d{4} \d\d:\d\d:\d\d\b")
_TRACKING = re.compile(r"\b[0-9a-f]{32}\b", re.IGNORECASE)
_SCOPE = re.compile(r"(ms-azure-iot-edge://\S+)-\d+")
_GATEWAY = re.compile(r"-G(\d?):\d*")
_SIGNED = re.compile(r"\b(sig|se|st)=[^&]*")
_ERROR = re.compile(r"ErrorCode:\s*(\w+)\s*;.*", re.DOTALL)


def observe(reply: Reply, names: Mapping[str, str]) -> Facts:
    """The facts of an answer; ``names`` maps texts of this hub and run (prefix, host) to their placeholders."""
    facts = {STATUS: str(reply.status)}
    for name, value in reply.headers.items():
        lowered = name.lower()
        if lowered not in _OF_THE_CONNECTION:
            facts[f"header {lowered}"] = shape_of_tag(value) if lowered in _SHAPED_HEADERS else _plain(value, names)
    facts.update(_body_facts(reply.body, names))
    return facts


def observe_document(document: Mapping[str, Any], names: Mapping[str, str]) -> Facts:
    """The facts of something that was seen otherwise than over HTTPS."""
    return {STATUS: "seen", **dict(_flatten("seen", document, names))}


def _body_facts(body: bytes, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not body:
        yield "body", "<nothing>"
        return
    try:
        document = json.loads(body)
    except ValueError:
        yield "body", f"<no JSON> {_plain(body[:100].decode('utf-8', 'replace'), names)}"
        return
    yield from _flatten("body", document, names)


def _flatten(place: str, value: Any, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield place, "<object>"
        for name, item in value.items():
            yield from _flatten(f"{place}.{_plain(name, names)}", item, names)
    elif isinstance(value, list):
        yield place, f"<list of {len(value)}>"
        for index, item in enumerate(_in_order(value, names)):
            yield from _flatten(f"{place}[{index}]", item, names)
    elif isinstance(value, str) and value.startswith("{") and (inner := _json_object(value)) is not None:
        yield place, "<object as text>"
        yield from _flatten(f"{place}(JSON)", inner, names)
    else:
        yield place, _leaf(place.rpartition(".")[2], value, names)


def _in_order(items: list[Any], names: Mapping[str, str]) -> list[Any]:
    if not all(isinstance(item, dict) for item in items):
        return items
    return sorted(items, key=lambda item: sorted(_flatten("", item, names)))


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _leaf(name: str, value: Any, names: Mapping[str, str]) -> str:
    if name in _BY_NAME and value not in (None, ""):
        return _BY_NAME[name](value)
    return json.dumps(_plain(value, names) if isinstance(value, str) else value, ensure_ascii=False)


def _plain(text: str, names: Mapping[str, str]) -> str:
    for found, placeholder in names.items():
        text = text.replace(found, placeholder)
    text = _ERROR.sub(r"ErrorCode:\1;<text>", text)
    text = _GUID.sub("<guid>", text)
    text = _ISO_TIME.sub(lambda match: f"<time {match[1] or 'without zone'}>", text)
    text = _US_TIME.sub("<US time>", text)
    text = _SCOPE.sub(r"\1-<digits>", text)
    return _GATEWAY.sub(r"-G\1:<number>", _TRACKING.sub("<tracking id>", text))


def shape_of_tag(value: object) -> str:
    """How an ETag is written: quoted or not, and what is inside."""
    text = str(value)
    inner = text.removeprefix("W/").strip('"')
    return text.replace(inner, f"<{_kind_of_tag(inner)}>") if inner else text


def _kind_of_tag(text: str) -> str:
    if text.isdigit():
        return "number"
    if _GUID.fullmatch(text):
        return "guid"
    try:
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return "text"
    return "base64 of a number" if decoded.isdigit() else "base64"


def _shape_of_key(value: object) -> str:
    try:
        return f"<base64 of {len(base64.b64decode(str(value), validate=True))} bytes>"
    except (ValueError, binascii.Error):
        return "<no base64>"


def _shape_of_error(value: object) -> str:
    text = str(value)
    return _ERROR.sub(r"ErrorCode:\1;<text>", text) if _ERROR.match(text) else "<text>"


def _shape_of_signature(value: object) -> str:
    """A shared access signature of a blob, without what differs each time."""
    return _SIGNED.sub(lambda match: f"{match[1]}=<{'signature' if match[1] == 'sig' else 'time'}>", str(value))


def _number(value: object) -> str:
    return "<number>" if isinstance(value, int) else _type_of(value)


def _digits(value: object) -> str:
    return "<digits>" if isinstance(value, str) and value.isdigit() else _type_of(value)


def _type_of(value: object) -> str:
    return f"<{type(value).__name__}>"


_BY_NAME: Mapping[str, Callable[[object], str]] = {
    "etag": shape_of_tag,
    "$etag": shape_of_tag,
    "deviceEtag": shape_of_tag,
    "generationId": _digits,
    "deviceGenerationId": _digits,
    "connectionDeviceGenerationId": _digits,
    "authGenerationId": _digits,
    "primaryKey": _shape_of_key,
    "secondaryKey": _shape_of_key,
    "message": _shape_of_error,
    "Message": _shape_of_error,
    "statusMessage": _shape_of_error,
    "failureReason": _shape_of_error,
    "errorStatus": _shape_of_error,
    "errorMessage": _shape_of_error,
    "sasToken": _shape_of_signature,
    "totalDeviceCount": _number,
    "enabledDeviceCount": _number,
    "disabledDeviceCount": _number,
    "connectedDeviceCount": _number,
    "targetedCount": _number,
    "appliedCount": _number,
}
"""Members whose value is this hub's and this run's own, by name."""
