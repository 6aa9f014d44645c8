"""Links that read the Event Hubs-compatible endpoint: a partition in a consumer group, from a place on.

Events are sent as far as the client's credit goes and then as they come; nothing is polled. An owner level, which links
carry as their epoch, makes a reader the only one of its partition and group; whoever had to leave is told
``amqp:link:stolen`` (Event Hubs documentation, "Event consumers").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from iot_core import amqp
from iot_core.amqp import Delivery, Sender, errors
from iot_core.amqp.types import Symbol, Timestamp
from iot_core.amqp_addresses import EventPartition
from iot_core.errors import EdgeyardError, HubError, LocalProtocolError
from iot_core.hub_errors import hub_error
from local_hub.controls.faults import CutError, LostError
from local_hub.eventhub import EventData, EventReader, ReceiverStolenError
from local_hub.eventhub.amqp_message import amqp_message
from local_hub.eventhub.event_hub import PartitionNotFoundError
from local_hub.eventhub.receivers import ReceiverRefusedError
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import as_hub_error, condition_of
from local_hub.fronts.amqp.node import Node, RefusedLinkError
from local_hub.fronts.amqp.selectors import position_of

__all__ = ["EventLink"]

EPOCH = "com.microsoft:epoch"
"""Property of attach: the owner level."""
RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"
"""Capability: every event also tells of the last one of its partition."""
BATCH = 64
"""Events that are read from the store at once."""


class EventLink(Node):
    """One reader. HubError or RefusedLinkError when it cannot be opened."""

    def __init__(self, client: Client, link: Sender, address: EventPartition) -> None:
        self._client = client
        self._link = link
        self._hub = client.hub.event_hub
        self._partition_id = address.partition_id
        self._wants_metric = RUNTIME_METRIC in ((link.attach.desired_capabilities if link.attach else None) or ())
        self._ready = asyncio.Event()
        self._is_at_end = False
        reader = self._open(address)
        self._leave = self._enter(address)
        self._task = client.spawn(self._feed(reader))

    def credited(self) -> None:
        self._ready.set()
        if self._link.is_draining and self._is_at_end:
            self._link.send_drained()

    def updated(self, delivery: Delivery) -> None:
        self._link.settle(delivery)

    def ended(self) -> None:
        self._leave()
        self._task.cancel()

    @property
    def capabilities(self) -> tuple[str, ...] | None:
        """What is offered of what the client wanted."""
        return (Symbol(RUNTIME_METRIC),) if self._wants_metric else None

    def _open(self, address: EventPartition) -> EventReader:
        if self._hub.groups.find(address.group) is None:
            raise _no_such(address, f"the consumer group {address.group[:60]!r}")
        try:
            attach = self._link.attach
            return self._hub.open(address.partition_id, position_of(attach.source if attach else None))
        except PartitionNotFoundError as error:
            raise _no_such(address, f"the partition: {error}") from error

    def _enter(self, address: EventPartition) -> Callable[[], None]:
        try:
            return self._hub.receivers.enter(address.group, address.partition_id, self._level(), self._stolen)
        except ReceiverStolenError as error:
            refusal = hub_error("LinkCreationConflict", str(error))
            raise RefusedLinkError(condition_of(refusal, errors.STOLEN)) from error
        except ReceiverRefusedError as error:
            refusal = hub_error("IotHubQuotaExceeded", str(error))
            raise RefusedLinkError(condition_of(refusal, errors.RESOURCE_LIMIT_EXCEEDED)) from error

    def _level(self) -> int | None:
        level = ((self._link.attach.properties if self._link.attach else None) or {}).get(EPOCH)
        if level is None:
            return None
        if not isinstance(level, int) or isinstance(level, bool) or level < 0:
            raise hub_error("ArgumentInvalid", f"{EPOCH} must be a whole number from 0 on.")
        return int(level)

    def _stolen(self) -> None:
        error = hub_error("LinkCreationConflict", "A reader with a higher owner level took this partition over.")
        self._client.over(self._link)
        self._link.send_detach(condition_of(error, errors.STOLEN))

    async def _feed(self, reader: EventReader) -> None:
        """Send events for as long as the link stands; it ends with an event that the client cannot take."""
        try:
            while True:
                await self._can_send()
                for event in await self._next(reader):
                    await self._send(event)
        except LocalProtocolError as error:
            self._client.end_link(self._link, hub_error("MessageTooLarge", f"{error}."))
        except EdgeyardError as error:
            self._client.end_link(self._link, as_hub_error(error))
            raise

    async def _send(self, event: EventData) -> None:
        """One event that faults for all may hold, take away or hang up on."""
        faults = self._client.hub.admission.faults
        if faults.active:
            try:
                await faults.pass_by(None)
            except LostError:
                return
            except CutError as error:
                self._client.connection.abort(str(error))
        await self._can_send()
        self._link.send(amqp.encode_message(self._message(event)))

    async def _next(self, reader: EventReader) -> list[EventData]:
        most = min(self._link.credit, BATCH)
        events = reader.read_now(most)
        if not events:
            self._is_at_end = True
            self._link.send_drained()
            events = await reader.read(most)
            self._is_at_end = False
        return events

    async def _can_send(self) -> None:
        while not self._link.can_send or self._client.connection.is_congested:
            self._ready.clear()
            await self._ready.wait()

    def _message(self, event: EventData) -> amqp.Message:
        message = amqp_message(event)
        return replace(message, delivery_annotations=self._metric()) if self._wants_metric else message

    def _metric(self) -> dict[Any, Any]:
        info = self._hub.info(self._partition_id)
        return {
            "last_enqueued_sequence_number": info.last_sequence_number,
            "last_enqueued_offset": info.last_offset,
            "last_enqueued_time_utc": Timestamp(round((info.last_enqueued or 0) * 1000)),
            "runtime_info_retrieval_time_utc": Timestamp(round(self._hub.time() * 1000)),
        }


def _no_such(address: EventPartition, what: str) -> HubError:
    return hub_error("AmqpAddressNotFound", f"{address.path[:200]!r} cannot be read: there is no {what}.")
