"""Links that bring locked messages: cloud-to-device messages to devices, feedback and file notifications to services.

The client settles: accepted completes a message, rejected rejects it, released or modified puts it back to be delivered
again, which counts; what it has not settled when the link ends goes back and does not count (IoT Hub developer guide,
"Send cloud-to-device messages"). A link whose messages are sent settled completes them by sending.
"""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

from iot_core import amqp
from iot_core.amqp import Accepted, Delivery, Modified, Rejected, Released, Sender
from iot_core.amqp.types import Timestamp, UByte, ULong
from iot_core.amqp_messages import properties_of
from iot_core.errors import EdgeyardError, LocalProtocolError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from local_hub.c2d.cloud_to_device import Delivery as Locked
from local_hub.c2d.cloud_to_device import FeedbackBatch
from local_hub.c2d.feedback import CONTENT_TYPE
from local_hub.files.notifications import CONTENT_TYPE as FILE_CONTENT_TYPE
from local_hub.files.notifications import FileNotification
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.node import Node

__all__ = ["DeviceboundLink", "FeedbackLink", "FileNotificationsLink"]

ItemT = TypeVar("ItemT", Locked, FeedbackBatch, FileNotification)


class QueueLink(Node, Generic[ItemT]):
    """A ``local_hub.pump.Receiver`` on a link to the client."""

    def __init__(self, client: Client, link: Sender, device_id: str | None = None) -> None:
        self._client = client
        self._link = link
        self._device_id = device_id
        self._waiting: deque[ItemT] = deque()
        self._held: dict[int, ItemT] = {}
        self._is_over = False

    @property
    def credit(self) -> int:
        ready = self._link.can_send and not self._waiting and not self._client.connection.is_congested
        return self._link.credit if ready else 0

    def deliver(self, item: ItemT) -> None:
        """What a fault takes away stays locked, and comes again when its lock is over."""
        self._client.send(self._device_id, partial(self._put, item))

    def _put(self, item: ItemT) -> None:
        if self._is_over:
            self.release([item.lock_token])
            return
        self._waiting.append(item)
        self._send_waiting()

    def credited(self) -> None:
        self._send_waiting()
        self.wake()
        if self._link.is_draining:
            self._client.spawn(self._drain())

    def updated(self, delivery: Delivery) -> None:
        item = self._held.pop(delivery.id, None)
        if item is not None:
            self._client.spawn(self._settle(delivery, item))

    def ended(self) -> None:
        self._is_over = True
        self.detach()
        self.release([item.lock_token for item in (*self._waiting, *self._held.values())])
        self._waiting.clear()
        self._held.clear()

    @abstractmethod
    def encode(self, item: ItemT) -> amqp.Message:
        """The message as the client gets it."""

    @abstractmethod
    def wake(self) -> None:
        """Tell the queue that there may be more credit."""

    @abstractmethod
    def detach(self) -> None:
        """Take no more from the queue."""

    @abstractmethod
    def release(self, lock_tokens: Sequence[str]) -> None:
        """Put messages back."""

    @abstractmethod
    async def brought(self) -> None:
        """Return once the queue has brought what it has and credit allows."""

    @abstractmethod
    async def complete(self, lock_token: str) -> None: ...

    @abstractmethod
    async def reject(self, lock_token: str) -> None: ...

    @abstractmethod
    async def abandon(self, lock_token: str) -> None: ...

    def _send_waiting(self) -> None:
        while self._waiting and self._link.can_send:
            item = self._waiting.popleft()
            payload = amqp.encode_message(self.encode(item))
            try:
                delivery = self._link.send(payload, tag=uuid.UUID(item.lock_token).bytes_le)
            except LocalProtocolError as error:
                self.release([item.lock_token])
                self._client.end_link(self._link, hub_error("MessageTooLarge", f"{error}."))
                return
            if delivery.is_settled:
                self._client.spawn(self.complete(item.lock_token))
            else:
                self._held[delivery.id] = item

    async def _drain(self) -> None:
        await self.brought()
        self._link.send_drained()

    async def _settle(self, delivery: Delivery, item: ItemT) -> None:
        state = delivery.state
        try:
            if isinstance(state, Accepted):
                await self.complete(item.lock_token)
            elif isinstance(state, Rejected):
                await self.reject(item.lock_token)
            elif isinstance(state, Released | Modified):
                await self.abandon(item.lock_token)
            else:
                self.release([item.lock_token])
        except EdgeyardError as error:
            self._link.settle(delivery, Rejected(error=condition_of(error)))
            raise
        self._link.settle(delivery)


class DeviceboundLink(QueueLink[Locked]):
    """Cloud-to-device messages of one device."""

    def __init__(self, client: Client, link: Sender, identity: Identity) -> None:
        super().__init__(client, link, identity.device_id)
        self._id = identity.device_id
        self._c2d = client.hub.c2d
        self._c2d.attach(self._id, self)

    def encode(self, item: Locked) -> amqp.Message:
        properties = {name: value or "" for name, value in item.message.properties.items()}
        return amqp.Message(
            message_annotations=_annotations(item),
            properties=properties_of(item.message.system),
            application_properties=dict(properties) or None,
            body=amqp.Data((item.message.body,)),
        )

    def wake(self) -> None:
        self._c2d.wake(self._id)

    def detach(self) -> None:
        self._c2d.detach(self._id, self)

    def release(self, lock_tokens: Sequence[str]) -> None:
        self._c2d.release(self._id, lock_tokens)

    async def brought(self) -> None:
        await self._c2d.brought(self._id)

    async def complete(self, lock_token: str) -> None:
        await self._c2d.complete(self._id, lock_token)

    async def reject(self, lock_token: str) -> None:
        await self._c2d.reject(self._id, lock_token)

    async def abandon(self, lock_token: str) -> None:
        await self._c2d.abandon(self._id, lock_token)


class FeedbackLink(QueueLink[FeedbackBatch]):
    """Feedback on cloud-to-device messages, in batches."""

    def __init__(self, client: Client, link: Sender) -> None:
        super().__init__(client, link)
        self._feedback = client.hub.c2d.feedback
        self._feedback.attach(self)

    def encode(self, item: FeedbackBatch) -> amqp.Message:
        hub_name = self._client.hub.config.hub_name
        return amqp.Message(
            message_annotations=_annotations(item),
            properties=amqp.Properties(
                message_id=item.lock_token, user_id=hub_name.encode(), content_type=CONTENT_TYPE
            ),
            body=amqp.Data((item.body,)),
        )

    def wake(self) -> None:
        self._feedback.pump.wake()

    def detach(self) -> None:
        self._feedback.detach(self)

    def release(self, lock_tokens: Sequence[str]) -> None:
        self._feedback.release(lock_tokens)

    async def brought(self) -> None:
        await self._feedback.settled()

    async def complete(self, lock_token: str) -> None:
        await self._feedback.complete(lock_token)

    async def reject(self, lock_token: str) -> None:
        await self._feedback.reject(lock_token)

    async def abandon(self, lock_token: str) -> None:
        await self._feedback.abandon(lock_token)


class FileNotificationsLink(QueueLink[FileNotification]):
    """Notifications of uploaded files."""

    def __init__(self, client: Client, link: Sender) -> None:
        super().__init__(client, link)
        self._notifications = client.hub.files.notifications
        self._notifications.attach(self)

    def encode(self, item: FileNotification) -> amqp.Message:
        return amqp.Message(
            message_annotations=_annotations(item),
            properties=amqp.Properties(message_id=item.lock_token, content_type=FILE_CONTENT_TYPE),
            body=amqp.Data((item.body,)),
        )

    def wake(self) -> None:
        self._notifications.wake()

    def detach(self) -> None:
        self._notifications.detach(self)

    def release(self, lock_tokens: Sequence[str]) -> None:
        self._notifications.release(lock_tokens)

    async def brought(self) -> None:
        await self._notifications.settled()

    async def complete(self, lock_token: str) -> None:
        await self._notifications.complete(lock_token)

    async def reject(self, lock_token: str) -> None:
        await self._notifications.reject(lock_token)

    async def abandon(self, lock_token: str) -> None:
        await self._notifications.abandon(lock_token)


def _annotations(item: Locked | FeedbackBatch | FileNotification) -> dict[str, object]:
    return {
        "x-opt-sequence-number": ULong(item.sequence),
        "x-opt-lock-token": uuid.UUID(item.lock_token),
        "iothub-enqueuedtime": Timestamp(round(item.enqueued * 1000)),
        "iothub-deliverycount": UByte(min(item.delivery_count, 255)),
    }
