"""What an AMQP address of IoT Hub means (IoT Hub documentation, "Communicate with your IoT hub by using the AMQP
protocol", and "Read device-to-cloud messages from the built-in endpoint").

A scheme and a host in front ("amqps://host/…", "sb://host/…") do not count, nor does the case of the fixed words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from iot_core.dps.login import ProvisioningLogin, parse_registration
from iot_core.errors import IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity

__all__ = [
    "Address",
    "Cbs",
    "DeviceEvents",
    "DeviceMethods",
    "DeviceTwin",
    "Devicebound",
    "EventHubEntity",
    "EventPartition",
    "Feedback",
    "FileNotifications",
    "HubEvents",
    "Management",
    "ProvisioningDevice",
    "ServiceDevicebound",
    "parse_address",
]


@dataclass(frozen=True, slots=True)
class Cbs:
    """Where tokens are put (``$cbs``)."""


@dataclass(frozen=True, slots=True)
class Management:
    """Where Event Hubs answers what it knows of itself (``$management``)."""


@dataclass(frozen=True, slots=True)
class ServiceDevicebound:
    """Where services send messages to devices."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Where services receive feedback on those."""


@dataclass(frozen=True, slots=True)
class FileNotifications:
    """Where services hear of uploaded files."""


@dataclass(frozen=True, slots=True)
class HubEvents:
    """The built-in endpoint by the hub's own name; ``rest`` is what follows, such as "ConsumerGroups/…"."""

    rest: str


@dataclass(frozen=True, slots=True)
class DeviceEvents:
    """Where a device or module sends telemetry; a module receives its inputs from there."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Devicebound:
    """Where a device receives messages."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class DeviceMethods:
    """Direct methods of a device or module: calls come, answers go."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class DeviceTwin:
    """The twin of a device or module: requests go, answers and desired patches come."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class ProvisioningDevice:
    """The provisioning service as one device sees it: requests go, answers come."""

    login: ProvisioningLogin


@dataclass(frozen=True, slots=True)
class EventPartition:
    """A partition of an Event Hub, read in a consumer group."""

    name: str
    group: str
    partition_id: str

    @property
    def path(self) -> str:
        """As Event Hubs writes it, without a host."""
        return f"{self.name}/ConsumerGroups/{self.group}/Partitions/{self.partition_id}"


@dataclass(frozen=True, slots=True)
class EventHubEntity:
    """An Event Hub or a place in it that events could be sent to."""

    name: str


Address: TypeAlias = (
    Cbs
    | Management
    | ServiceDevicebound
    | Feedback
    | FileNotifications
    | HubEvents
    | DeviceEvents
    | Devicebound
    | DeviceMethods
    | DeviceTwin
    | ProvisioningDevice
    | EventPartition
    | EventHubEntity
)


def parse_address(text: str) -> Address:
    """HubError AmqpAddressNotFound for an address that the service does not have."""
    parts = [unquote(part) for part in _path(text).split("/")]
    words = tuple(part.lower() for part in parts)
    fixed = _FIXED.get(words)
    if fixed is not None:
        return fixed
    match words:
        case ("messages", "events", *_):
            return HubEvents("/".join(parts[2:]))
        case ("devices", _, "modules", _, *rest):
            return _of_identity(text, tuple(rest), parts[1], parts[3])
        case ("devices", _, *rest):
            return _of_identity(text, tuple(rest), parts[1], None)
        case (_, "registrations", _) if (login := _registration(parts)) is not None:
            return ProvisioningDevice(login)
        case (_, "consumergroups", _, "partitions", _):
            return EventPartition(parts[0], parts[2], parts[4])
        case (_, "$management"):
            return Management()
        case (name,) | (name, "partitions", _) if name and not name.startswith("$"):
            return EventHubEntity(parts[0])
    raise _unknown(text)


def _path(text: str) -> str:
    _, scheme, rest = text.partition("://")
    return (rest.partition("/")[2] if scheme else text).strip("/")


def _registration(parts: list[str]) -> ProvisioningLogin | None:
    try:
        return parse_registration("/".join((parts[0], "registrations", parts[2])))
    except IdentityError:
        return None


def _of_identity(text: str, words: tuple[str, ...], device_id: str, module_id: str | None) -> Address:
    kind = _OF_IDENTITY.get(words)
    if kind is None or (kind is Devicebound and module_id):
        raise _unknown(text)
    try:
        return kind(Identity(device_id, module_id))
    except IdentityError:
        raise _unknown(text) from None


def _unknown(text: str) -> Exception:
    return hub_error("AmqpAddressNotFound", f"No link can be attached to {text[:200]!r}.")


_FIXED: dict[tuple[str, ...], Address] = {
    ("$cbs",): Cbs(),
    ("$management",): Management(),
    ("messages", "devicebound"): ServiceDevicebound(),
    ("messages", "servicebound", "feedback"): Feedback(),
    ("messages", "servicebound", "filenotifications"): FileNotifications(),
    # One page of the documentation spells it so.
    ("messages", "servicebound", "fileuploadnotifications"): FileNotifications(),
}
_OF_IDENTITY: dict[tuple[str, ...], Callable[[Identity], Address]] = {
    ("messages", "events"): DeviceEvents,
    ("messages", "devicebound"): Devicebound,
    ("methods", "devicebound"): DeviceMethods,
    ("twin",): DeviceTwin,
}
