"""Messages as webhooks and files get them: JSON as IoT Hub writes it to storage endpoints (IoT Hub documentation,
"Azure Storage as a routing endpoint").

``{"EnqueuedTimeUtc", "Properties", "SystemProperties", "Body"}``: the body is a JSON value where the message says that
it is JSON in UTF-8 and it is, else base64 text.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from iot_core.clock import iso
from iot_core.json_types import JsonObject
from local_hub.eventhub import HubMessage

__all__ = ["routed_document"]

_NAMES = {"authGenerationId": "connectionDeviceGenerationId"}
"""System properties that such documents know by another name."""


def routed_document(message: HubMessage) -> JsonObject:
    """The document of a message."""
    whole = message.message
    return {
        "EnqueuedTimeUtc": iso(message.enqueued),
        "Properties": {name: value or "" for name, value in whole.properties.items()},
        "SystemProperties": {
            **{_NAMES.get(name, name): value for name, value in whole.system.items()},
            "iothub-message-source": message.source,
        },
        "Body": _body(message),
    }


def _body(message: HubMessage) -> Any:
    kind, encoding = (message.system.get(name, "").lower() for name in ("contentType", "contentEncoding"))
    if kind == "application/json" and encoding == "utf-8":
        try:
            return orjson.loads(message.body)
        except orjson.JSONDecodeError:
            pass
    return base64.b64encode(message.body).decode("ascii")
