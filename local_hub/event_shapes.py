"""The events of the core, in the shapes of the real ones (IoT Hub documentation, "Non-telemetry event schemas")."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import orjson

from iot_core.clock import iso
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.message import Message
from iot_core.plug_and_play import digital_twin_changes
from local_hub.digital_twins.documents import digital_twin_of
from local_hub.documents import twin_etag
from local_hub.events import Event
from local_hub.rows import Record
from local_hub.twins.changes import TwinChange

__all__ = ["EventShapes", "body_value"]

_TEXT_ENCODINGS = ("", "utf-8")


class EventShapes:
    """Builds events of one hub."""

    def __init__(self, hub_name: str) -> None:
        self._hub_name = hub_name
        self._sequence = 0

    def twin_changed(self, change: TwinChange, operation: str, now: float) -> Event:
        """``updateTwin`` with what changed, or ``replaceTwin`` with all of the twin."""
        record = change.record
        parts = {"desired": change.desired, "reported": change.reported}
        body: JsonObject = {"version": record.version}
        if operation == "replaceTwin":
            body = _twin_summary(record) | {"tags": record.tags}
        else:
            if change.tags is not None:
                body["tags"] = change.tags
            body["properties"] = {name: part for name, part in parts.items() if part is not None}
        return self._notification("twinChangeEvents", record.identity, operation, "twinChangeNotification", body, now)

    def digital_twin_changed(self, change: TwinChange, now: float) -> Event | None:
        """The change as a JSON Patch of the digital twin; None when that shows none, and for modules."""
        after, before = change.record, change.before
        if before is None or after.identity.module_id:
            return None
        patch = digital_twin_changes(digital_twin_of(before), digital_twin_of(after))
        if not patch:
            return None
        schema = "digitalTwinChangeNotification"
        source = "digitalTwinChangeEvents"
        event = self._notification(source, after.identity, "updateDigitalTwin", schema, patch, now)
        event["systemProperties"]["contentType"] = "application/json-patch+json"
        return event

    def lifecycle(self, record: Record, operation: str, now: float) -> Event:
        """``createDeviceIdentity`` or ``deleteDeviceIdentity``, for modules too."""
        schema = "deviceLifecycleNotification"
        return self._notification(
            "deviceLifecycleEvents", record.identity, operation, schema, _twin_summary(record), now
        )

    def connection(self, identity: Identity, connected: bool, now: float) -> Event:
        """``deviceConnected`` or ``deviceDisconnected``, with a sequence number that only grows."""
        self._sequence = max(self._sequence + 1, int(now * 10_000_000))
        return self._notification(
            "deviceConnectionStateEvents",
            identity,
            "deviceConnected" if connected else "deviceDisconnected",
            "deviceConnectionStateNotification",
            {"sequenceNumber": f"{self._sequence:064X}"},
            now,
        )

    def telemetry(self, identity: Identity, message: Message, now: float) -> Event:
        """A message as it was stored."""
        event = _event("Telemetry", identity, now)
        event["properties"] = dict(message.properties)
        event["systemProperties"] = dict(message.system)
        event["body"] = body_value(message)
        return event

    def method(self, identity: Identity, name: str, outcome: JsonObject, now: float) -> Event:
        """A direct method call that ended: its status, or the error's name."""
        return _event("directMethod", identity, now) | {
            "properties": {},
            "systemProperties": {},
            "body": {"methodName": name, **outcome},
        }

    def job(self, document: JsonObject, now: float) -> Event:
        """A job that changed its state, as the REST API prints it."""
        return {"time": iso(now), "source": "job", "properties": {}, "systemProperties": {}, "body": document}

    def _notification(
        self, source: str, identity: Identity, operation: str, schema: str, body: Any, now: float
    ) -> Event:
        event = _event(source, identity, now)
        event["properties"] = {
            "hubName": self._hub_name,
            **_ids(identity),
            "opType": operation,
            "operationTimestamp": iso(now),
            "iothub-message-schema": schema,
        }
        event["systemProperties"] = {
            "contentType": "application/json",
            "contentEncoding": "utf-8",
            "userId": self._hub_name,
            "correlationId": secrets.token_hex(4),
            **_connection_ids(identity),
        }
        event["body"] = body
        return event


def body_value(message: Message) -> Any:
    """A body for people and tools: a JSON value when the message says so and it parses, else text, else base64."""
    encoding = message.system.get("contentEncoding", "").lower()
    kind = message.system.get("contentType", "").partition(";")[0].strip().lower()
    if kind == "application/json" and encoding in _TEXT_ENCODINGS:
        try:
            return orjson.loads(message.body)
        except orjson.JSONDecodeError:
            pass
    try:
        return message.body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(message.body).decode("ascii")}


def _event(source: str, identity: Identity, now: float) -> Event:
    return {"time": iso(now), "source": source, **_ids(identity)}


def _ids(identity: Identity) -> dict[str, str]:
    if identity.module_id is None:
        return {"deviceId": identity.device_id}
    return {"deviceId": identity.device_id, "moduleId": identity.module_id}


def _connection_ids(identity: Identity) -> dict[str, str]:
    ids = {"connectionDeviceId": identity.device_id}
    return ids if identity.module_id is None else {**ids, "connectionModuleId": identity.module_id}


def _twin_summary(record: Record) -> JsonObject:
    return {
        **_ids(record.identity),
        "etag": twin_etag(record.twin_etag),
        "version": record.version,
        "properties": {"desired": record.desired.view(), "reported": record.reported.view()},
    }
