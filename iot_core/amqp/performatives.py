"""The nine performatives and what they are made of (OASIS AMQP 1.0 part 2, sections 2.7 and 2.8; part 3, 3.4 and 3.5).

Numbers that AMQP gives a meaning are the enumerations here; fields hold the plain number, because a peer may send more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from iot_core.amqp import fields
from iot_core.amqp.composite import Kind, composite, from_described
from iot_core.amqp.encoder import write
from iot_core.amqp.errors import NOT_IMPLEMENTED, AmqpViolation
from iot_core.amqp.types import Described, Value

__all__ = [
    "ACCEPTED",
    "MODE_FIRST",
    "MODE_MIXED",
    "MODE_SECOND",
    "MODE_SETTLED",
    "MODE_UNSETTLED",
    "RELEASED",
    "Accepted",
    "Attach",
    "Begin",
    "Close",
    "DeliveryState",
    "Detach",
    "Disposition",
    "End",
    "ErrorCondition",
    "Flow",
    "Modified",
    "Open",
    "Performative",
    "Received",
    "Rejected",
    "Released",
    "Source",
    "Target",
    "Transfer",
]

MAX_UINT = 0xFFFFFFFF
MAX_DESCRIPTION_BYTES = 200
"""Of what a peer is told of its mistake: its own names may be in there, of any length."""
MODE_UNSETTLED, MODE_SETTLED, MODE_MIXED = 0, 1, 2
"""Sender settle modes (section 2.8.2)."""
MODE_FIRST, MODE_SECOND = 0, 1
"""Receiver settle modes: settle spontaneously, or only after the sender has settled (section 2.8.3)."""
ROLE_SENDER, ROLE_RECEIVER = False, True
"""Roles (section 2.8.1)."""


@composite(0x1D, "amqp:error:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorCondition:
    """Why a connection, session or link ends, or a message is rejected (2.8.14). `iot_core.amqp.errors` names them."""

    condition: fields.Word
    description: fields.Text | None = None
    info: fields.Annotations | None = None


_ERROR_ONLY = frozenset({ErrorCondition})
OptionalError: TypeAlias = Annotated[
    ErrorCondition | None,
    Kind(name="error", types=(Described,), convert=lambda value: from_described(value, _ERROR_ONLY), write=write),
]


@composite(0x23, "amqp:received:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """How much of a delivery has arrived (part 3, section 3.4.1). Not an outcome."""

    section_number: fields.Number32
    section_offset: fields.Number64


@composite(0x24, "amqp:accepted:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The message is processed."""


@composite(0x25, "amqp:rejected:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The message is invalid or cannot be processed."""

    error: OptionalError = None


@composite(0x26, "amqp:released:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """The message was not processed, and may be delivered again."""


@composite(0x27, "amqp:modified:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Modified:
    """The message was not processed, and is changed before it is delivered again."""

    delivery_failed: fields.Boolean | None = None
    undeliverable_here: fields.Boolean | None = None
    message_annotations: fields.Annotations | None = None


DeliveryState: TypeAlias = Received | Accepted | Rejected | Released | Modified
ACCEPTED = Accepted()
RELEASED = Released()

_STATES: frozenset[type] = frozenset({Received, Accepted, Rejected, Released, Modified})
_TRANSACTIONAL = (0x30, 0x33, 0x34, "amqp:coordinator:list", "amqp:declared:list", "amqp:transactional-state:list")
"""Coordinator, declared and transactional-state (part 4)."""


def _refuse_transactions(value: Described) -> None:
    if value.descriptor in _TRANSACTIONAL:
        raise AmqpViolation("AMQP transactions are not supported", condition=NOT_IMPLEMENTED)


def _state(value: Described) -> DeliveryState:
    _refuse_transactions(value)
    state: DeliveryState = from_described(value, _STATES)
    return state


OptionalState: TypeAlias = Annotated[
    DeliveryState | None, Kind(name="delivery state", types=(Described,), convert=_state, write=write)
]


@composite(0x28, "amqp:source:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the messages of a link come from (part 3, section 3.5.3)."""

    address: fields.Text | None = None
    durable: fields.Number32 = 0
    expiry_policy: fields.Word | None = "session-end"
    timeout: fields.Number32 = 0
    dynamic: fields.Boolean = False
    dynamic_node_properties: fields.Annotations | None = None
    distribution_mode: fields.Word | None = None
    filter: fields.Annotations | None = None
    default_outcome: fields.Anything | None = None
    outcomes: fields.Symbols | None = None
    capabilities: fields.Symbols | None = None


@composite(0x29, "amqp:target:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where the messages of a link go (part 3, section 3.5.4)."""

    address: fields.Text | None = None
    durable: fields.Number32 = 0
    expiry_policy: fields.Word | None = "session-end"
    timeout: fields.Number32 = 0
    dynamic: fields.Boolean = False
    dynamic_node_properties: fields.Annotations | None = None
    capabilities: fields.Symbols | None = None


_SOURCE_ONLY = frozenset({Source})
_TARGET_ONLY = frozenset({Target})


def _target(value: Described) -> Target:
    _refuse_transactions(value)
    target: Target = from_described(value, _TARGET_ONLY)
    return target


OptionalSource: TypeAlias = Annotated[
    Source | None,
    Kind(name="source", types=(Described,), convert=lambda value: from_described(value, _SOURCE_ONLY), write=write),
]
OptionalTarget: TypeAlias = Annotated[
    Target | None, Kind(name="target", types=(Described,), convert=_target, write=write)
]


@composite(0x10, "amqp:open:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """Opens a connection (section 2.7.1). `idle_time_out` in milliseconds."""

    container_id: fields.Text
    hostname: fields.Text | None = None
    max_frame_size: fields.Number32 = MAX_UINT
    channel_max: fields.Number16 = 65535
    idle_time_out: fields.Number32 | None = None
    outgoing_locales: fields.Symbols | None = None
    incoming_locales: fields.Symbols | None = None
    offered_capabilities: fields.Symbols | None = None
    desired_capabilities: fields.Symbols | None = None
    properties: fields.Annotations | None = None


@composite(0x11, "amqp:begin:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """Begins a session on a channel (section 2.7.2). `remote_channel` is given when it answers the peer's begin."""

    remote_channel: fields.Number16 | None = None
    next_outgoing_id: fields.Number32
    incoming_window: fields.Number32
    outgoing_window: fields.Number32
    handle_max: fields.Number32 = MAX_UINT
    offered_capabilities: fields.Symbols | None = None
    desired_capabilities: fields.Symbols | None = None
    properties: fields.Annotations | None = None


@composite(0x12, "amqp:attach:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Attach:
    """Attaches a link (section 2.7.3). `role` is that of its sender: False sends messages, True receives them."""

    name: fields.Text
    handle: fields.Number32
    role: fields.Boolean
    snd_settle_mode: fields.Number8 = MODE_MIXED
    rcv_settle_mode: fields.Number8 = MODE_FIRST
    source: OptionalSource = None
    target: OptionalTarget = None
    unsettled: fields.Anything | None = None
    incomplete_unsettled: fields.Boolean = False
    initial_delivery_count: fields.Number32 | None = None
    max_message_size: fields.Number64 | None = None
    offered_capabilities: fields.Symbols | None = None
    desired_capabilities: fields.Symbols | None = None
    properties: fields.Annotations | None = None


@composite(0x13, "amqp:flow:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Windows of a session and, with a handle, the credit of a link (section 2.7.4)."""

    next_incoming_id: fields.Number32 | None = None
    incoming_window: fields.Number32
    next_outgoing_id: fields.Number32
    outgoing_window: fields.Number32
    handle: fields.Number32 | None = None
    delivery_count: fields.Number32 | None = None
    link_credit: fields.Number32 | None = None
    available: fields.Number32 | None = None
    drain: fields.Boolean = False
    echo: fields.Boolean = False
    properties: fields.Annotations | None = None


@composite(0x14, "amqp:transfer:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """A message, or a piece of one; the bytes follow the performative (section 2.7.5)."""

    handle: fields.Number32
    delivery_id: fields.Number32 | None = None
    delivery_tag: fields.Binary | None = None
    message_format: fields.Number32 | None = None
    settled: fields.Boolean | None = None
    more: fields.Boolean = False
    rcv_settle_mode: fields.Number8 | None = None
    state: OptionalState = None
    resume: fields.Boolean = False
    aborted: fields.Boolean = False
    batchable: fields.Boolean = False


@composite(0x15, "amqp:disposition:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Disposition:
    """State of the deliveries `first` to `last` (section 2.7.6)."""

    role: fields.Boolean
    first: fields.Number32
    last: fields.Number32 | None = None
    settled: fields.Boolean = False
    state: OptionalState = None
    batchable: fields.Boolean = False


@composite(0x16, "amqp:detach:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Detach:
    """Detaches a link; `closed` also when it will not come back (section 2.7.7)."""

    handle: fields.Number32
    closed: fields.Boolean = False
    error: OptionalError = None


@composite(0x17, "amqp:end:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """Ends a session (section 2.7.8)."""

    error: OptionalError = None


@composite(0x18, "amqp:close:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class Close:
    """Closes a connection (section 2.7.9)."""

    error: OptionalError = None


Performative: TypeAlias = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close
PERFORMATIVES: tuple[type[Any], ...] = (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close)


def error_condition(
    condition: str, description: str | None = None, info: dict[str, Value] | None = None
) -> ErrorCondition:
    """An ErrorCondition in one line."""
    return ErrorCondition(condition=condition, description=description, info=info)


def condition_of(violation: AmqpViolation) -> ErrorCondition:
    """What the peer is told of its mistake: ASCII, and short enough for the smallest frames."""
    text = str(violation).encode("ascii", "backslashreplace")[:MAX_DESCRIPTION_BYTES].decode()
    return ErrorCondition(condition=violation.condition, description=text)
