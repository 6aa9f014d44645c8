"""Message routing: which endpoints get which messages, and carrying them there.

`MessageRouting` is where to begin; `settings` is what can be configured, `router` decides, `delivery` carries. Source:
IoT Hub documentation, "Use IoT Hub message routing", "Message enrichments for device-to-cloud messages".
"""

from __future__ import annotations

from local_hub.routing.message_routing import MessageRouting
from local_hub.routing.settings import RoutingSettings, RoutingSettingsError, parse_settings

__all__ = ["MessageRouting", "RoutingSettings", "RoutingSettingsError", "parse_settings"]
