"""MQTT topics and subscriptions of IoT Hub, parsed and built (user names are in iot_core.usernames and named here too).

A device speaks in `Telemetry`, `TwinGet`, `TwinPatch` and `MethodResponse`; the hub in `TwinResponse`, `DesiredPatch`,
`MethodRequest`, `DeviceBound` and `ModuleInput`. Request ids are kept exactly as they stand in the topic, still
encoded, because the answer must repeat them. Ids of devices and modules are never percent-encoded in topics.
Source: IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import quote, unquote

from iot_core.errors import IdentityError, MessageError
from iot_core.identity import Identity
from iot_core.message import Message, decode_bag, encode_bag
from iot_core.usernames import ConnectInfo, parse_username, username

__all__ = [
    "DESIRED_FILTER",
    "METHODS_FILTER",
    "TWIN_RESPONSES_FILTER",
    "ConnectInfo",
    "DesiredPatch",
    "DeviceBound",
    "DeviceTopic",
    "HubTopic",
    "MethodRequest",
    "MethodResponse",
    "ModuleInput",
    "Subscription",
    "Telemetry",
    "TwinGet",
    "TwinPatch",
    "TwinResponse",
    "desired_patch",
    "devicebound",
    "devicebound_filter",
    "inputs_filter",
    "method_request",
    "method_response",
    "module_input",
    "parse_device_topic",
    "parse_hub_topic",
    "parse_subscription",
    "parse_username",
    "telemetry",
    "twin_get",
    "twin_patch_reported",
    "twin_response",
    "username",
]

MAX_TOPIC_LENGTH = 65_535
"""Bytes in an MQTT topic (MQTT 3.1.1, section 1.5.3)."""

TWIN_RESPONSES_FILTER = "$iothub/twin/res/#"
DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#"
METHODS_FILTER = "$iothub/methods/POST/#"

# What MQTT forbids in a topic name, and "/", must be encoded; "*" must not, as Plug and Play commands use it.
_NAME_SAFE = "!$&'*-.^_`|~"
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_STATUS = re.compile(r"-?\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A message from a device or module; `bag` is its property bag as it came."""

    identity: Identity
    bag: str

    def message(self, body: bytes) -> Message:
        """The whole message; raises MessageError when the bag does not decode."""
        properties, system = decode_bag(self.bag)
        return Message(body, properties, system)


@dataclass(frozen=True, slots=True)
class TwinGet:
    """Asks for the twin."""

    request_id: str


@dataclass(frozen=True, slots=True)
class TwinPatch:
    """Reported properties; `base_version`, when given, must be the current reported version."""

    request_id: str
    base_version: int | None = None


@dataclass(frozen=True, slots=True)
class MethodResponse:
    """The device's answer to a direct method; `status` is the method's own."""

    status: int
    request_id: str


DeviceTopic: TypeAlias = Telemetry | TwinGet | TwinPatch | MethodResponse


@dataclass(frozen=True, slots=True)
class TwinResponse:
    """The hub's answer to TwinGet and TwinPatch; `version` is the new reported version after a patch."""

    status: int
    request_id: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class DesiredPatch:
    """Desired properties changed; `version` is the new desired version."""

    version: int


@dataclass(frozen=True, slots=True)
class MethodRequest:
    """A direct method call; answer with the same `request_id`."""

    name: str
    request_id: str


@dataclass(frozen=True, slots=True)
class DeviceBound:
    """A cloud-to-device message; `bag` is its property bag as it came."""

    identity: Identity
    bag: str


@dataclass(frozen=True, slots=True)
class ModuleInput:
    """A message routed to a module's input; `bag` is its property bag as it came."""

    identity: Identity
    input_name: str
    bag: str


HubTopic: TypeAlias = TwinResponse | DesiredPatch | MethodRequest | DeviceBound | ModuleInput


class Subscription(StrEnum):
    """What a client can subscribe to."""

    DEVICEBOUND = "devicebound"
    INPUTS = "inputs"
    TWIN_RESPONSES = "twin responses"
    DESIRED = "desired properties"
    METHODS = "methods"


def parse_device_topic(topic: str) -> DeviceTopic:
    """What a device published; raises MessageError for a topic that IoT Hub does not know."""
    _check_length(topic)
    if topic.startswith("devices/"):
        identity, rest = _identity_and_rest(topic)
        if rest == "messages/events":
            return Telemetry(identity, "")
        if rest.startswith("messages/events/"):
            return Telemetry(identity, rest.removeprefix("messages/events/"))
    elif topic.startswith("$iothub/"):
        return _parse_device_request(topic)
    raise _unknown(topic)


def parse_hub_topic(topic: str) -> HubTopic:
    """What the hub published to a device; raises MessageError for a topic that IoT Hub does not use."""
    _check_length(topic)
    if topic.startswith("devices/"):
        return _parse_hub_message(topic)
    match topic.split("/"):
        case ["$iothub", "twin", "res", status, query]:
            values = _query(query)
            return TwinResponse(_status(status, topic), _request_id(values, topic), _version(values, topic))
        case ["$iothub", "twin", "PATCH", "properties", "desired", query]:
            version = _version(_query(query), topic)
            if version is not None:
                return DesiredPatch(version)
        case ["$iothub", "methods", "POST", name, query]:
            return MethodRequest(unquote(name), _request_id(_query(query), topic))
    raise _unknown(topic)


def telemetry(identity: Identity, message: Message) -> str:
    """The topic that sends `message`; its body is the payload."""
    return f"{_root(identity)}/messages/events/{encode_bag(message)}"


def twin_get(request_id: str) -> str:
    return f"$iothub/twin/GET/?$rid={request_id}"


def twin_patch_reported(request_id: str, base_version: int | None = None) -> str:
    return f"$iothub/twin/PATCH/properties/reported/?$rid={request_id}{_version_suffix(base_version)}"


def method_response(status: int, request_id: str) -> str:
    return f"$iothub/methods/res/{status}/?$rid={request_id}"


def twin_response(status: int, request_id: str, version: int | None = None) -> str:
    return f"$iothub/twin/res/{status}/?$rid={request_id}{_version_suffix(version)}"


def desired_patch(version: int) -> str:
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def method_request(name: str, request_id: str) -> str:
    return f"$iothub/methods/POST/{quote(name, safe=_NAME_SAFE)}/?$rid={request_id}"


def devicebound(identity: Identity, message: Message) -> str:
    """The topic of a cloud-to-device message; the hub sets its "to" system property before."""
    return f"{_root(identity)}/messages/devicebound/{encode_bag(message)}"


def module_input(identity: Identity, input_name: str, message: Message) -> str:
    """The topic that brings `message` to an input of a module."""
    return f"{_root(identity)}/inputs/{quote(input_name, safe=_NAME_SAFE)}/{encode_bag(message)}"


def devicebound_filter(identity: Identity) -> str:
    return f"{_root(identity)}/messages/devicebound/#"


def inputs_filter(identity: Identity) -> str:
    return f"{_root(identity)}/inputs/#"


def parse_subscription(topic_filter: str, identity: Identity) -> Subscription:
    """What a topic filter of this client asks for; raises MessageError for one that IoT Hub does not grant it."""
    filters = {
        TWIN_RESPONSES_FILTER: Subscription.TWIN_RESPONSES,
        DESIRED_FILTER: Subscription.DESIRED,
        METHODS_FILTER: Subscription.METHODS,
    }
    if identity.module_id is None:
        filters[devicebound_filter(identity)] = Subscription.DEVICEBOUND
    else:
        filters[inputs_filter(identity)] = Subscription.INPUTS
        # The .NET SDK subscribes to everything below the module.
        filters[f"{_root(identity)}/#"] = Subscription.INPUTS
    try:
        return filters[topic_filter]
    except KeyError:
        granted = ", ".join(filters)
        raise MessageError(f"{topic_filter[:200]!r} cannot be subscribed by {identity}: use one of {granted}") from None


def _parse_device_request(topic: str) -> DeviceTopic:
    match topic.split("/"):
        case ["$iothub", "twin", "GET", query]:
            return TwinGet(_request_id(_query(query), topic))
        case ["$iothub", "twin", "PATCH", "properties", "reported", query]:
            values = _query(query)
            return TwinPatch(_request_id(values, topic), _version(values, topic))
        case ["$iothub", "methods", "res", status, query]:
            return MethodResponse(_status(status, topic), _request_id(_query(query), topic))
    raise _unknown(topic)


def _parse_hub_message(topic: str) -> HubTopic:
    identity, rest = _identity_and_rest(topic)
    if rest.startswith("messages/devicebound/"):
        return DeviceBound(identity, rest.removeprefix("messages/devicebound/"))
    kind, _, rest = rest.partition("/")
    if kind == "inputs" and identity.module_id is not None and rest:
        input_name, _, bag = rest.partition("/")
        return ModuleInput(identity, unquote(input_name), bag)
    raise _unknown(topic)


def _identity_and_rest(topic: str) -> tuple[Identity, str]:
    _, device_id, rest = (*topic.split("/", 2), "")[:3]
    if not rest.startswith("modules/"):
        return _identity(device_id, None), rest
    _, module_id, rest = (*rest.split("/", 2), "")[:3]
    return _identity(device_id, module_id), rest


def _identity(device_id: str, module_id: str | None) -> Identity:
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise MessageError(str(error)) from None


def _root(identity: Identity) -> str:
    device = f"devices/{identity.device_id}"
    return device if identity.module_id is None else f"{device}/modules/{identity.module_id}"


def _query(text: str) -> dict[str, str]:
    return {unquote(key): value for key, value in _pairs(text.removeprefix("?"))}


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (part.partition("=") for part in text.split("&")) if key]


def _request_id(values: dict[str, str], topic: str) -> str:
    request_id = values.get("$rid")
    if not request_id:
        raise MessageError(f"topic {topic[:200]!r} has no request id: end it with '/?$rid=…'")
    return request_id


def _version(values: dict[str, str], topic: str) -> int | None:
    text = values.get("$version")
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise MessageError(f"topic {topic[:200]!r}: $version is not a whole number")
    return int(text)


def _status(text: str, topic: str) -> int:
    if _STATUS.fullmatch(text) is None:
        raise MessageError(f"topic {topic[:200]!r}: status {text[:20]!r} is not a whole number")
    return int(text)


def _version_suffix(version: int | None) -> str:
    return "" if version is None else f"&$version={version}"


def _check_length(topic: str) -> None:
    if len(topic) > MAX_TOPIC_LENGTH:
        raise MessageError(f"a topic of {len(topic)} characters is too long: {MAX_TOPIC_LENGTH} are allowed")


def _unknown(topic: str) -> MessageError:
    return MessageError(f"topic {topic[:200]!r} is not one of IoT Hub's: it does not take other topics")
