"""Identities and twins as the REST API prints them (REST reference, "Devices", "Modules", "Get Twin")."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from iot_core.clock import UNSET_TIME, iso
from iot_core.json_types import JsonObject
from local_hub.rows import Record
from local_hub.sessions import Sessions

__all__ = ["Documents", "identity_etag", "twin_etag"]


def identity_etag(number: int) -> str:
    """An identity's etag: the number's digits in base64."""
    return base64.b64encode(str(number).encode("ascii")).decode("ascii")


def twin_etag(number: int) -> str:
    """A twin's etag: base64 of eight big-endian bytes, ``AAAAAAAAAAE=`` for 1."""
    return base64.b64encode(number.to_bytes(8, "big")).decode("ascii")


class Documents:
    """Builds the documents from rows, from who is connected now and from how many messages wait for whom.

    ``queue_depths`` has the number of a device's cloud-to-device messages by its generation id.
    """

    def __init__(self, sessions: Sessions, queue_depths: Mapping[str, int]) -> None:
        self._sessions = sessions
        self._queue_depths = queue_depths

    def identity(self, record: Record) -> JsonObject:
        """A device's or module's identity document."""
        return self._module(record) if record.identity.module_id else self._device(record)

    def twin(self, record: Record) -> JsonObject:
        """The full twin of a device or module, as a service sees it."""
        document: JsonObject = {"deviceId": record.identity.device_id}
        if record.identity.module_id:
            document["moduleId"] = record.identity.module_id
        document |= {
            "etag": twin_etag(record.twin_etag),
            "deviceEtag": identity_etag(record.etag),
            "status": record.status,
            **_given("statusReason", record.status_reason),
            "statusUpdateTime": _twin_time(record.status_updated),
            "connectionState": self._state(record),
            "lastActivityTime": _twin_time(self._last_activity(record)),
            "cloudToDeviceMessageCount": self._queue_depths.get(record.generation_id, 0),
            "authenticationType": record.authentication["type"],
            "x509Thumbprint": record.authentication["x509Thumbprint"],
            "modelId": record.model_id,
            "version": record.version,
            "tags": record.tags,
            "properties": {"desired": record.desired.view(), "reported": record.reported.view()},
            "capabilities": {"iotEdge": record.iot_edge},
            **({"configurations": record.configurations} if record.configurations else {}),
        }
        return document | _scopes(record)

    def _device(self, record: Record) -> JsonObject:
        return {
            "deviceId": record.identity.device_id,
            "generationId": record.generation_id,
            "etag": identity_etag(record.etag),
            "connectionState": self._state(record),
            "status": record.status,
            "statusReason": record.status_reason,
            "connectionStateUpdatedTime": _identity_time(record.connection_updated),
            "statusUpdatedTime": _identity_time(record.status_updated),
            "lastActivityTime": _identity_time(self._last_activity(record)),
            "cloudToDeviceMessageCount": self._queue_depths.get(record.generation_id, 0),
            "authentication": record.authentication,
            "capabilities": {"iotEdge": record.iot_edge},
            **_scopes(record),
        }

    def _module(self, record: Record) -> JsonObject:
        return {
            "moduleId": record.identity.module_id,
            "managedBy": record.managed_by,
            "deviceId": record.identity.device_id,
            "generationId": record.generation_id,
            "etag": identity_etag(record.etag),
            "connectionState": self._state(record),
            "connectionStateUpdatedTime": _identity_time(record.connection_updated),
            "lastActivityTime": _identity_time(self._last_activity(record)),
            "cloudToDeviceMessageCount": 0,
            "authentication": record.authentication,
        }

    def _state(self, record: Record) -> str:
        return "Connected" if self._sessions.get(record.identity) else "Disconnected"

    def _last_activity(self, record: Record) -> float | None:
        return self._sessions.last_activity(record.identity) or record.last_activity


def _scopes(record: Record) -> JsonObject:
    parents = {"parentScopes": list(record.parent_scopes)} if record.parent_scopes else {}
    return {**_given("deviceScope", record.device_scope), **parents}


def _given(name: str, value: str | None) -> JsonObject:
    return {} if value is None else {name: value}


def _twin_time(timestamp: float | None) -> str:
    return UNSET_TIME if timestamp is None else iso(timestamp)


def _identity_time(timestamp: float | None) -> str:
    return UNSET_TIME.removesuffix("Z") if timestamp is None else iso(timestamp)
