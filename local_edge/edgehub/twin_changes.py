"""Twin change notifications: what a module reported, as a message that routes can bring to another module.

Source: Azure/iotedge, edge-hub, `DeviceMessageHandler.UpdateReportedPropertiesAsync`. The body is the reported patch as
it came; routes see `/twinChangeNotifications`, with the edge hub itself as sender and without a content type (so
`$body` is undefined in their conditions); the receiver is told who reported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from iot_core.message import Message
from iot_core.routing import TWIN_CHANGE_SOURCE
from local_edge.edgehub.config_keeper import OWN
from local_edge.edgehub.messages import Delivery
from local_edge.edgehub.routes import EdgeHubConfig, deliveries

__all__ = ["TwinChange", "twin_change"]

KIND = "twinChangeNotification"
"""Its messageType, for conditions, and its messageSchema, which also goes with the message."""


@dataclass(frozen=True, kw_only=True)
class TwinChange:
    """The message as its receivers get it, and where it goes."""

    message: Message
    deliveries: list[Delivery]
    sender: str = OWN


def twin_change(config: EdgeHubConfig, device: str, module: str, patch: dict[str, Any]) -> TwinChange:
    """The notification that `module` reported `patch`."""
    body = json.dumps(patch).encode()
    seen_by_routes = {
        "connectionDeviceId": device,
        "connectionModuleId": OWN,
        "messageType": KIND,
        "messageSchema": KIND,
    }
    chosen = deliveries(config, OWN, Message(body, {}, seen_by_routes), source=TWIN_CHANGE_SOURCE)
    told = {"connectionDeviceId": device, "connectionModuleId": module, "messageSchema": KIND}
    return TwinChange(message=Message(body, {}, told), deliveries=chosen)
