"""The built-in endpoint: the Event Hub that IoT Hub keeps device-to-cloud messages in, without a protocol.

`EventHub` is where to begin: partitions, consumer groups, readers; module ``amqp_message`` has an event as Event Hubs
clients see it. Source: IoT Hub documentation, "Read device-to-cloud messages from the built-in endpoint".
"""

from __future__ import annotations

from local_hub.eventhub.event_hub import EventHub
from local_hub.eventhub.groups import DEFAULT_GROUP, ConsumerGroups
from local_hub.eventhub.messages import TELEMETRY, Envelope, HubMessage
from local_hub.eventhub.partitions import EventData, PartitionInfo
from local_hub.eventhub.positions import EARLIEST, LATEST, AfterOffset, AfterSequence, AfterTime, Position
from local_hub.eventhub.reader import EventReader
from local_hub.eventhub.receivers import Receivers, ReceiverStolenError

__all__ = [
    "DEFAULT_GROUP",
    "EARLIEST",
    "LATEST",
    "TELEMETRY",
    "AfterOffset",
    "AfterSequence",
    "AfterTime",
    "ConsumerGroups",
    "Envelope",
    "EventData",
    "EventHub",
    "EventReader",
    "HubMessage",
    "PartitionInfo",
    "Position",
    "ReceiverStolenError",
    "Receivers",
]
