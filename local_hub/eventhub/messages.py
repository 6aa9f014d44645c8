"""Messages that the hub took from devices or made itself, and the records that the store keeps of them.

A record is one line of JSON, then the body's bytes as they came:
``[enqueued, device, module, generation, auth method, properties, system]``, then ``[…, source, model]`` where they are
not those of plain telemetry. What the hub stamps on a message is not stored twice: ``system`` is what the sender said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import orjson

from iot_core.clock import iso
from iot_core.errors import MessageError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message, Properties, SystemProperties

__all__ = ["TELEMETRY", "Envelope", "HubMessage", "decode_record", "encode_record"]

TELEMETRY = "Telemetry"
"""The message source of what devices send; the others are named by the events of the hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubMessage:
    """A message with what the hub knows of its sender.

    ``enqueued`` is in unix seconds, whole milliseconds, as Event Hubs tells it. ``system`` holds what the sender said,
    by IoT Hub's names; ``generation_id`` and ``auth_method`` are empty for what the hub made itself, ``model_id`` for
    devices that named no model when they connected.
    """

    identity: Identity
    enqueued: float
    body: bytes = b""
    properties: Properties = field(default_factory=dict)
    system: SystemProperties = field(default_factory=dict)
    generation_id: str = ""
    auth_method: str = ""
    model_id: str = ""
    source: str = TELEMETRY

    @property
    def message(self) -> Message:
        """The message as IoT Hub hands it on: its system properties are what the sender said and what the hub stamps,
        which are connectionDeviceId, connectionModuleId, authGenerationId, connectionAuthMethod, enqueuedTime and
        dataSchema. Nothing that a sender claims stands in their place.
        """
        said = {name: value for name, value in self.system.items() if name not in _STAMPS}
        return Message(self.body, self.properties, said | self._stamps())

    def _stamps(self) -> SystemProperties:
        values = (
            self.identity.device_id,
            self.identity.module_id,
            self.generation_id,
            self.auth_method,
            iso(self.enqueued),
            self.model_id,
        )
        return {name: value for name, value in zip(_STAMPS, values, strict=True) if value}


_STAMPS = (
    "connectionDeviceId",
    "connectionModuleId",
    "authGenerationId",
    "connectionAuthMethod",
    "enqueuedTime",
    "dataSchema",
)


class Envelope:
    """All of a message but its time and its body: one serves every message that a sender sends alike.

    HubError ArgumentInvalid for text that UTF-8 has no bytes for.
    """

    __slots__ = ("_common", "_tail")

    def __init__(self, common: HubMessage) -> None:
        fields: list[object] = [
            common.identity.device_id,
            common.identity.module_id,
            common.generation_id,
            common.auth_method,
            common.properties,
            common.system,
        ]
        if common.model_id or common.source != TELEMETRY:
            fields += (common.source, common.model_id)
        try:
            self._tail = b"," + orjson.dumps(fields)[1:] + b"\n"
        except orjson.JSONEncodeError as error:
            raise hub_error("ArgumentInvalid", f"The message's properties cannot be stored: {error}.") from error
        self._common = common

    @property
    def identity(self) -> Identity:
        """Whose messages they are."""
        return self._common.identity

    def records(self, enqueued: float, bodies: Sequence[bytes]) -> list[bytes]:
        """The records of messages that came together."""
        head = b"".join((b"[", orjson.dumps(enqueued), self._tail))
        return [head + body for body in bodies]

    def message(self, enqueued: float, body: bytes) -> HubMessage:
        """One message."""
        return replace(self._common, enqueued=enqueued, body=body)


def encode_record(message: HubMessage) -> bytes:
    """The record of a message; HubError ArgumentInvalid as for ``Envelope``."""
    return Envelope(message).records(message.enqueued, (message.body,))[0]


def decode_record(record: bytes) -> HubMessage:
    """The message of a record; MessageError when it is none."""
    head, line_feed, body = record.partition(b"\n")
    if not line_feed:
        raise MessageError("a stored message has no head")
    enqueued, device_id, module_id, generation_id, auth_method, properties, system, *rest = orjson.loads(head)
    source, model_id = rest or (TELEMETRY, "")
    return HubMessage(
        identity=Identity(device_id, module_id),
        enqueued=enqueued,
        body=body,
        properties=properties,
        system=system,
        generation_id=generation_id,
        auth_method=auth_method,
        model_id=model_id,
        source=source,
    )
