"""Firings as bodies: CloudEvents, Event Grid events, or the message as it was.

Sources: CloudEvents 1.0.2 ("Context attributes") with its JSON format and HTTP binding (structured mode); Azure Event
Grid, "Event Grid event schema".
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from iot_core.clock import iso
from iot_core.message import Message
from modules.trigger.firing import Firing
from modules.trigger.settings import Format

__all__ = ["Origin", "Payload", "cloud_event", "event_grid_event", "payload"]

CLOUD_EVENT_TYPE = "application/cloudevents+json; charset=utf-8"
EVENT_GRID_TYPE = "application/json; charset=utf-8"
UNKNOWN_TYPE = "application/octet-stream"
DATA_VERSION = "1.0"
"""Of the data below; counts up when a member changes its meaning."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which trigger module speaks, and how it calls its events."""

    device: str
    module: str
    event_type: str

    def source(self, rule: str) -> str:
        """A URI reference that names the rule."""
        return f"/devices/{quote(self.device, safe='')}/modules/{quote(self.module, safe='$')}/rules/{rule}"


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A body, its content type, and headers that only HTTP carries."""

    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


def payload(firing: Firing, origin: Origin, format: Format) -> Payload:
    """What to send of a firing."""
    match format:
        case Format.CLOUD_EVENT:
            return Payload(body=orjson.dumps(cloud_event(firing, origin)), content_type=CLOUD_EVENT_TYPE)
        case Format.EVENT_GRID:
            return Payload(
                body=orjson.dumps([event_grid_event(firing, origin)]),
                content_type=EVENT_GRID_TYPE,
                headers={"aeg-event-type": "Notification"},
            )
        case Format.MESSAGE:
            message = firing.message
            return Payload(body=message.body, content_type=message.system.get("contentType") or UNKNOWN_TYPE)


def cloud_event(firing: Firing, origin: Origin) -> dict[str, Any]:
    """Structured mode: the event as one JSON object. `subject` is the key of the series."""
    event = {
        "specversion": "1.0",
        "id": firing.id,
        "source": origin.source(firing.rule),
        "type": origin.event_type,
        "time": _rfc3339(firing.at),
        "datacontenttype": "application/json",
        "data": _data(firing),
    }
    return event | ({"subject": firing.key} if firing.key else {})


def event_grid_event(firing: Firing, origin: Origin) -> dict[str, Any]:
    """One event; Event Grid itself adds topic and metadataVersion."""
    return {
        "id": firing.id,
        "subject": origin.source(firing.rule) + (f"/{firing.key}" if firing.key else ""),
        "eventType": origin.event_type,
        "eventTime": _rfc3339(firing.at),
        "dataVersion": DATA_VERSION,
        "data": _data(firing),
    }


def _data(firing: Firing) -> dict[str, Any]:
    return {
        "rule": firing.rule,
        "key": firing.key,
        "since": _rfc3339(firing.since),
        "input": firing.input,
        "message": _message(firing.message),
    }


def _message(message: Message) -> dict[str, Any]:
    return {"properties": message.properties, "system": message.system, **_body(message.body)}


def _body(body: bytes) -> dict[str, Any]:
    """`body` for JSON or text, `bodyBase64` for anything else."""
    try:
        return {"body": orjson.loads(body)}
    except orjson.JSONDecodeError:
        pass
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"bodyBase64": base64.b64encode(body).decode("ascii")}


def _rfc3339(timestamp: float) -> str:
    return iso(timestamp)
