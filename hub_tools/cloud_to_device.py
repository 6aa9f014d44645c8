"""Cloud-to-device messages, sent by AMQP as the service SDKs do it: IoT Hub has no REST call for them.

Source: IoT Hub developer guide, "Send cloud-to-device messages from IoT Hub", and "Communicate with your IoT hub by
using the AMQP protocol".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import uuid
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hub_tools.credentials import ENTRA_SCOPE, Credential
from hub_tools.retries import PAUSES_S
from hub_tools.rights import SERVICE, entra_role_of
from hub_tools.service import HubUnreachableError
from iot_core import amqp, limits
from iot_core.amqp import ACCEPTED, AmqpValue, ClientSasl, Delivery, Rejected
from iot_core.amqp_messages import body_bytes, properties_of
from iot_core.c2d import Ack
from iot_core.clock import iso
from iot_core.errors import EdgeyardError, MessageError, ProtocolError
from iot_core.hub_errors import ERRORS, hub_error
from transport.amqp_client import SAS_TYPE, AmqpClient, AmqpError, AmqpSender

__all__ = ["CloudMessage", "CloudToDevice", "Feedback"]

AMQPS_PORT = 5671
TOKEN_RENEWAL_S = 240.0
"""A credential's authorization is good for five minutes at least."""
FEEDBACK_CREDIT = 1000
"""Batches of others that may be held at once; they go back uncounted when the link ends."""
_SASL = ClientSasl(mechanism="MSSBCBS")
_BEARER = "Bearer "
_NAMES = {
    amqp.errors.NOT_FOUND: "DeviceNotFound",
    amqp.errors.RESOURCE_LIMIT_EXCEEDED: "DeviceMaximumQueueDepthExceeded",
    amqp.errors.UNAUTHORIZED_ACCESS: "IotHubUnauthorizedAccess",
    amqp.errors.DEVICE_CONTAINER_THROTTLED: "ThrottlingException",
    amqp.errors.QUOTA_EXCEEDED: "IotHubQuotaExceeded",
    amqp.errors.MESSAGE_SIZE_EXCEEDED: "MessageTooLarge",
}
"""Condition of a refusal → the error it stands for, where its description does not say."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CloudMessage:
    """A message to a device; `expiry` is unix seconds, without it the hub's own time to live holds.

    `ack` says which ends of it the hub shall tell by feedback. MessageError when it is larger than the hub takes.
    """

    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    expiry: float | None = None
    ack: Ack = Ack.NONE

    def __post_init__(self) -> None:
        own = sum(len(name.encode()) + len(value.encode()) for name, value in self.properties.items())
        size, most = len(self.body) + own, limits.CLOUD_TO_DEVICE_BYTES
        if size > most:
            raise MessageError(f"the message has {size} bytes with its properties; IoT Hub takes {most}")

    def to(self, device_id: str) -> amqp.Message:
        """The message on the wire."""
        system = {
            "messageId": self.message_id,
            "to": f"/devices/{quote(device_id, safe='')}/messages/devicebound",
            "correlationId": self.correlation_id,
            "contentType": self.content_type,
            "contentEncoding": self.content_encoding,
            "expiry": None if self.expiry is None else iso(self.expiry),
        }
        return amqp.Message(
            properties=properties_of({name: value for name, value in system.items() if value}),
            application_properties={**self.properties, "iothub-ack": self.ack.value},
            body=amqp.Data((self.body,)),
        )


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """How a message ended: `status` is Success, Expired, DeliveryCountExceeded, Rejected or Purged; `time` ISO 8601."""

    message_id: str
    device_id: str
    status: str
    time: str


class CloudToDevice:
    """A connection to send on. Enter it; HubUnreachableError, HubError for who may not send.

    The link is taken when the first message is sent; tokens are renewed for as long as it is open.
    """

    def __init__(self, credential: Credential, *, ca_file: Path | None = None) -> None:
        self._credential = credential
        self._ca_file = ca_file
        self._stack = AsyncExitStack()
        self._sender: AmqpSender | None = None

    async def __aenter__(self) -> CloudToDevice:
        host = self._credential.host_name.partition(":")[0]
        tls = ssl.create_default_context()
        if self._ca_file is not None:
            tls.load_verify_locations(cafile=str(self._ca_file))
        self._stack.push_async_callback(self._credential.close)
        try:
            self._client = await AmqpClient.connect(host, AMQPS_PORT, tls, sasl=_SASL)
            await self._stack.enter_async_context(self._client)
            await self._put_token(host)
            self._sender = await self._client.sender("/messages/devicebound")
        except AmqpError as error:
            await self._stack.aclose()
            raise self._explained(error) from error
        except (OSError, TimeoutError, ProtocolError) as error:
            await self._stack.aclose()
            raise HubUnreachableError(f"{host} cannot be reached by AMQP: {error or 'no answer'}") from error
        except BaseException:
            await self._stack.aclose()
            raise
        self._renewal = asyncio.create_task(self._renew(host), name="token of the cloud-to-device link")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._renewal
        await self._stack.aclose()

    async def send(self, device_id: str, message: CloudMessage) -> None:
        """Sends and waits until the hub keeps it; a throttled one is sent again after a pause.

        HubError: DeviceNotFound, DeviceMaximumQueueDepthExceeded (50 wait for the device), IotHubUnauthorizedAccess …;
        HubUnreachableError when the connection ends.
        """
        for pause_s in (*PAUSES_S, None):
            error = await self._attempt(device_id, message)
            if error is None:
                return
            if pause_s is None or error.condition != amqp.errors.DEVICE_CONTAINER_THROTTLED:
                raise self._explained(error, device_id) from error
            await asyncio.sleep(pause_s)

    async def feedback(self, messages: Container[str]) -> AsyncIterator[Feedback]:
        """How the messages with these ids end, as it becomes known; one may be told of twice.

        The hub has one queue of feedback for everybody, in batches. A batch that tells only of these messages is taken
        out of it; one that tells of others too is looked at and left to whoever waits for those.
        """
        assert self._sender is not None, "enter the connection first"
        try:
            receiver = await self._client.receiver("/messages/serviceBound/feedback", credit=FEEDBACK_CREDIT)
            async for delivery in receiver:
                records = _records(delivery)
                if all(record.message_id in messages for record in records):
                    receiver.settle(delivery, ACCEPTED)
                for record in records:
                    if record.message_id in messages:
                        yield record
        except AmqpError as error:
            raise self._explained(error) from error

    async def _attempt(self, device_id: str, message: CloudMessage) -> AmqpError | None:
        """Why the hub did not take it, when it did not; raises when the link is over."""
        assert self._sender is not None, "enter the connection first"
        try:
            state = await self._sender.send(message.to(device_id))
        except AmqpError as error:
            return error
        if state is None or state == ACCEPTED:
            return None
        refusal = state.error if isinstance(state, Rejected) else None
        if refusal is None:
            return AmqpError(f"the hub answered {type(state).__name__.lower()}", condition="")
        return AmqpError(refusal.description or "", condition=refusal.condition)

    async def _put_token(self, host: str) -> None:
        authorization = await self._credential.authorization()
        bearer = authorization.startswith(_BEARER)
        fields = {
            "operation": "put-token",
            "type": "bearer" if bearer else SAS_TYPE,
            "name": ENTRA_SCOPE if bearer else f"https://{host}",
        }
        request = amqp.Message(application_properties=dict(fields), body=AmqpValue(authorization))
        await self._client.request("$cbs", request)

    async def _renew(self, host: str) -> None:
        while True:
            await asyncio.sleep(TOKEN_RENEWAL_S)
            try:
                await self._put_token(host)
            except (AmqpError, TimeoutError, EdgeyardError) as error:
                _log.warning("a new token for %s was not taken: %s", host, error)
                if self._client.is_over:
                    return

    def _explained(self, error: AmqpError, device_id: str = "") -> EdgeyardError:
        code, text = _read(str(error))
        name = next((name for name, each in ERRORS.items() if each.code == code), _NAMES.get(error.condition, ""))
        if name in ("IotHubUnauthorized", "IotHubUnauthorizedAccess"):
            needs = f"cloud-to-device messages need {SERVICE} (in Entra: {entra_role_of(SERVICE)}), which"
            text = f"{needs} {self._credential.name} may not have. The hub says: {text}"
        if not name:
            return HubUnreachableError(f"{self._credential.host_name} ended the sending: {text or error.condition}")
        return hub_error(name, f"{device_id}: {text}" if device_id and device_id not in text else text)


def _records(delivery: Delivery) -> list[Feedback]:
    try:
        rows: Any = json.loads(body_bytes(delivery.message()))
    except (ValueError, MessageError):
        return []
    return [
        Feedback(
            message_id=str(row.get("originalMessageId", "")),
            device_id=str(row.get("deviceId", "")),
            status=str(row.get("statusCode", "")),
            time=str(row.get("enqueuedTimeUtc", "")),
        )
        for row in rows
        if isinstance(row, dict)
    ]


def _read(description: str) -> tuple[int | None, str]:
    """Code and text of a refusal's description, which is JSON on a hub and plain text elsewhere."""
    try:
        body = json.loads(description)
        return int(body["errorCode"]), str(body.get("message") or "")
    except (ValueError, KeyError, TypeError):
        return None, description
