"""What Event Hubs tells of itself: properties of the Event Hub and of its partitions (Event Hubs documentation, "AMQP
1.0 in Event Hubs", management operations).
"""

from __future__ import annotations

from typing import Any

from iot_core.amqp import Message
from iot_core.amqp.types import Array, Int, Timestamp
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from local_hub.eventhub import PartitionInfo
from local_hub.eventhub.event_hub import PartitionNotFoundError
from local_hub.fronts.amqp.requests import Answers, Requests, reply

__all__ = ["ManagementAnswers", "ManagementRequests"]

EVENT_HUB, PARTITION = "com.microsoft:eventhub", "com.microsoft:partition"


class ManagementAnswers(Answers):
    """The answers to READ."""


class ManagementRequests(Requests):
    """``READ`` of the Event Hub or a partition."""

    answers = ManagementAnswers

    def answer(self, request: Message) -> Message:
        properties = request.application_properties or {}
        event_hub = self._client.hub.event_hub
        operation, kind, name = (str(properties.get(key) or "") for key in ("operation", "type", "name"))
        if operation != "READ" or kind not in (EVENT_HUB, PARTITION):
            raise hub_error("ArgumentInvalid", f"$management has no {operation[:40]!r} of {kind[:60]!r}.")
        if name.lower() != event_hub.name.lower():
            raise _not_found(f"There is no Event Hub {name[:60]!r}: it is {event_hub.name!r}.")
        if kind == EVENT_HUB:
            return reply(200, "OK", self._event_hub())
        try:
            info = event_hub.info(str(properties.get("partition")))
        except PartitionNotFoundError as error:
            raise _not_found(f"{error}.") from error
        return reply(200, "OK", _partition(event_hub.name, info))

    def _event_hub(self) -> dict[str, Any]:
        event_hub = self._client.hub.event_hub
        return {
            "name": event_hub.name,
            "type": EVENT_HUB,
            "created_at": Timestamp(round(event_hub.created * 1000)),
            "partition_count": Int(len(event_hub.partition_ids)),
            "partition_ids": Array("string", event_hub.partition_ids),
        }


def _partition(name: str, info: PartitionInfo) -> dict[str, Any]:
    return {
        "name": name,
        "type": PARTITION,
        "partition": info.partition_id,
        "begin_sequence_number": info.beginning_sequence_number,
        "last_enqueued_sequence_number": info.last_sequence_number,
        "last_enqueued_offset": info.last_offset,
        "last_enqueued_time_utc": Timestamp(round((info.last_enqueued or 0) * 1000)),
        "is_partition_empty": info.is_empty,
    }


def _not_found(text: str) -> HubError:
    return hub_error("AmqpAddressNotFound", text)
