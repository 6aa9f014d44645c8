"""AMQP 1.0 without I/O, for either side of a connection (OASIS AMQP 1.0 parts 1, 2, 3 and 5).

`Connection` is where to begin; it gives `events`, which hold sessions and links to answer on. Conditions of errors are
in `iot_core.amqp.errors`, AMQP's types in `iot_core.amqp.types`.
"""

from __future__ import annotations

from iot_core.amqp.connection import Connection
from iot_core.amqp.decoder import decode
from iot_core.amqp.delivery import Delivery
from iot_core.amqp.encoder import encode
from iot_core.amqp.errors import AmqpViolation
from iot_core.amqp.events import (
    ConnectionClosed,
    ConnectionOpened,
    DeliveryReceived,
    DeliveryUpdated,
    Event,
    LinkAttached,
    LinkDetached,
    LinkDrained,
    LinkFlow,
    SaslOutcomeReceived,
    SaslRequested,
    SaslResponseReceived,
    SessionBegun,
    SessionEnded,
)
from iot_core.amqp.link import Link
from iot_core.amqp.messaging import (
    BATCH_FORMAT,
    AmqpSequence,
    AmqpValue,
    Data,
    Header,
    Message,
    Properties,
    decode_batch,
    decode_message,
    encode_message,
)
from iot_core.amqp.performatives import (
    ACCEPTED,
    MODE_FIRST,
    MODE_MIXED,
    MODE_SECOND,
    MODE_SETTLED,
    MODE_UNSETTLED,
    RELEASED,
    Accepted,
    Attach,
    DeliveryState,
    ErrorCondition,
    Modified,
    Open,
    Received,
    Rejected,
    Released,
    Source,
    Target,
    error_condition,
)
from iot_core.amqp.receiver import Receiver
from iot_core.amqp.sender import Sender
from iot_core.amqp.session import Session
from iot_core.amqp.settings import ClientSasl, Settings

__all__ = [
    "ACCEPTED",
    "BATCH_FORMAT",
    "MODE_FIRST",
    "MODE_MIXED",
    "MODE_SECOND",
    "MODE_SETTLED",
    "MODE_UNSETTLED",
    "RELEASED",
    "Accepted",
    "AmqpSequence",
    "AmqpValue",
    "AmqpViolation",
    "Attach",
    "ClientSasl",
    "Connection",
    "ConnectionClosed",
    "ConnectionOpened",
    "Data",
    "Delivery",
    "DeliveryReceived",
    "DeliveryState",
    "DeliveryUpdated",
    "ErrorCondition",
    "Event",
    "Header",
    "Link",
    "LinkAttached",
    "LinkDetached",
    "LinkDrained",
    "LinkFlow",
    "Message",
    "Modified",
    "Open",
    "Properties",
    "Received",
    "Receiver",
    "Rejected",
    "Released",
    "SaslOutcomeReceived",
    "SaslRequested",
    "SaslResponseReceived",
    "Sender",
    "Session",
    "SessionBegun",
    "SessionEnded",
    "Settings",
    "Source",
    "Target",
    "decode",
    "decode_batch",
    "decode_message",
    "encode",
    "encode_message",
    "error_condition",
]
