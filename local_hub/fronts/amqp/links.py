"""What the client wants with a link: its address and direction, who may have it, and the node that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from iot_core.amqp import Link, Receiver, Sender
from iot_core.amqp_addresses import (
    Cbs,
    Devicebound,
    DeviceEvents,
    DeviceMethods,
    DeviceTwin,
    EventHubEntity,
    EventPartition,
    Feedback,
    FileNotifications,
    HubEvents,
    Management,
    ProvisioningDevice,
    ServiceDevicebound,
    parse_address,
)
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from local_hub.controls.faults import FaultKind
from local_hub.fronts import refusals
from local_hub.fronts.amqp.cbs import CbsAnswers, CbsRequests
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.event_links import EventLink
from local_hub.fronts.amqp.management import ManagementAnswers, ManagementRequests
from local_hub.fronts.amqp.method_links import MethodAnswersLink, MethodCallsLink
from local_hub.fronts.amqp.node import Node, RefusedLinkError
from local_hub.fronts.amqp.provisioning_links import (
    ProvisioningAnswers,
    ProvisioningRequests,
    let_in,
    provisioning_condition,
)
from local_hub.fronts.amqp.queue_links import DeviceboundLink, FeedbackLink, FileNotificationsLink
from local_hub.fronts.amqp.redirect import redirect_of
from local_hub.fronts.amqp.sending import ServiceDeviceboundLink, TelemetryLink
from local_hub.fronts.amqp.twin_links import TwinAnswersLink, TwinRequestsLink

__all__ = ["identity_of", "open_link"]

MODEL_ID = "com.microsoft:model-id"
"""Property of attach: the Plug and Play model of the device."""
_Opener: TypeAlias = Callable[[Client, Any, Any], Node]


def open_link(client: Client, link: Link) -> Node:
    """The node of a link that the client attaches; it is let in when this returns.

    HubError or RefusedLinkError when it is not.
    """
    text = _address_of(link)
    address = parse_address(text)
    opener = _OPENERS.get((type(address), link.is_sender))
    if opener is None:
        raise hub_error("AmqpAddressNotFound", f"No link of this direction can be attached to {text[:200]!r}.")
    return opener(client, link, address)


def identity_of(link: Link) -> Identity | None:
    """The device or module that a link is of; None for every other link, and for an address that is none."""
    try:
        identity = getattr(parse_address(_address_of(link)), "identity", None)
    except HubError:
        return None
    return identity if isinstance(identity, Identity) else None


def _address_of(link: Link) -> str:
    terminus = link.attach and (link.attach.source if isinstance(link, Sender) else link.attach.target)
    return (terminus.address if terminus else None) or ""


def _feedback(client: Client, link: Sender, _address: Feedback) -> Node:
    client.grants.service(link, "messages/serviceBound/feedback")
    return FeedbackLink(client, link)


def _file_notifications(client: Client, link: Sender, _address: FileNotifications) -> Node:
    client.grants.service(link, "messages/serviceBound/filenotifications")
    return FileNotificationsLink(client, link)


def _service_devicebound(client: Client, link: Receiver, _address: ServiceDevicebound) -> Node:
    client.grants.service(link, "messages/devicebound")
    return ServiceDeviceboundLink(client, link)


def _hub_events(client: Client, link: Link, address: HubEvents) -> Node:
    client.grants.service(link, "messages/events")
    raise redirect_of(client, address)


def _management(kind: Callable[..., Node]) -> _Opener:
    def open_node(client: Client, link: Any, _address: Management) -> Node:
        client.grants.service(link, client.hub.event_hub.name)
        return kind(link) if isinstance(link, Sender) else kind(client, link)

    return open_node


def _event_partition(client: Client, link: Sender, address: EventPartition) -> Node:
    client.grants.service(link, address.path)
    _check_name(client, address.name)
    return EventLink(client, link, address)


def _event_sender(client: Client, link: Receiver, address: EventHubEntity | EventPartition) -> Node:
    client.grants.service(link, address.name)
    _check_name(client, address.name)
    text = "Unauthorized access: 'Send' claims are required; IoT Hub alone sends to its built-in endpoint."
    raise hub_error("IotHubUnauthorizedAccess", text)


def _check_name(client: Client, name: str) -> None:
    event_hub = client.hub.event_hub.name
    if name.lower() != event_hub.lower():
        raise hub_error("AmqpAddressNotFound", f"There is no Event Hub {name[:60]!r}: it is {event_hub!r}.")


def _device(client: Client, link: Link, identity: Identity) -> AmqpDevice:
    """The device that a link is of, let in and connected."""
    client.hub.admission.check_login(identity.device_id)
    principal = client.grants.device(link, identity, client.host)
    if model_id := ((link.attach.properties if link.attach else None) or {}).get(MODEL_ID):
        principal = replace(principal, model_id=str(model_id))
        client.spawn(client.hub.twins.announce_model(identity, str(model_id)))
    device = client.devices.get(identity)
    if device is None or not device.links:
        device = AmqpDevice(identity, principal, client.hub.sessions, client.end_link)
    device.principal = principal
    client.add_to(device, link)
    faults = client.hub.admission.faults
    if faults.active and faults.strikes(FaultKind.TAKEOVER, identity.device_id):
        # Later, as the link is not answered yet.
        asyncio.get_running_loop().call_soon(client.hub.sessions.take_over, identity)
    return device


def _telemetry(client: Client, link: Receiver, address: DeviceEvents) -> Node:
    return TelemetryLink(client, link, _device(client, link, address.identity))


def _inputs(client: Client, link: Sender, address: DeviceEvents) -> Node:
    client.grants.device(link, address.identity, client.host)
    if address.identity.module_id is None:
        raise hub_error("AmqpAddressNotFound", "A device receives at …/messages/devicebound.")
    raise refusals.not_built("Module inputs on the hub (only an edge hub delivers them)")


def _devicebound(client: Client, link: Sender, address: Devicebound) -> Node:
    _device(client, link, address.identity)
    return DeviceboundLink(client, link, address.identity)


def _method_calls(client: Client, link: Sender, address: DeviceMethods) -> Node:
    return MethodCallsLink(client, link, _device(client, link, address.identity))


def _method_answers(client: Client, link: Receiver, address: DeviceMethods) -> Node:
    return MethodAnswersLink(client, link, _device(client, link, address.identity))


def _provisioning(client: Client, link: Sender | Receiver, address: ProvisioningDevice) -> Node:
    try:
        attempt = let_in(client, address.login)
    except HubError as error:
        raise RefusedLinkError(provisioning_condition(error)) from error
    return ProvisioningAnswers(link) if isinstance(link, Sender) else ProvisioningRequests(client, link, attempt)


def _twin_answers(client: Client, link: Sender, address: DeviceTwin) -> Node:
    return TwinAnswersLink(client, link, _device(client, link, address.identity))


def _twin_requests(client: Client, link: Receiver, address: DeviceTwin) -> Node:
    return TwinRequestsLink(client, link, _device(client, link, address.identity))


_TO_CLIENT, _FROM_CLIENT = True, False
_OPENERS: Mapping[tuple[type, bool], _Opener] = {
    (Cbs, _TO_CLIENT): lambda client, link, _address: CbsAnswers(link),
    (Cbs, _FROM_CLIENT): lambda client, link, _address: CbsRequests(client, link),
    (Management, _TO_CLIENT): _management(ManagementAnswers),
    (Management, _FROM_CLIENT): _management(ManagementRequests),
    (ServiceDevicebound, _FROM_CLIENT): _service_devicebound,
    (Feedback, _TO_CLIENT): _feedback,
    (FileNotifications, _TO_CLIENT): _file_notifications,
    (HubEvents, _TO_CLIENT): _hub_events,
    (HubEvents, _FROM_CLIENT): _hub_events,
    (EventPartition, _TO_CLIENT): _event_partition,
    (EventPartition, _FROM_CLIENT): _event_sender,
    (EventHubEntity, _FROM_CLIENT): _event_sender,
    (DeviceEvents, _FROM_CLIENT): _telemetry,
    (DeviceEvents, _TO_CLIENT): _inputs,
    (Devicebound, _TO_CLIENT): _devicebound,
    (DeviceMethods, _TO_CLIENT): _method_calls,
    (DeviceMethods, _FROM_CLIENT): _method_answers,
    (ProvisioningDevice, _TO_CLIENT): _provisioning,
    (ProvisioningDevice, _FROM_CLIENT): _provisioning,
    (DeviceTwin, _TO_CLIENT): _twin_answers,
    (DeviceTwin, _FROM_CLIENT): _twin_requests,
}
"""Kind of address and direction, as the hub sees it → what serves the link."""
