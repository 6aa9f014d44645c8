from __future__ import annotations

import pytest

from iot_core.amqp_addresses import (
    Address,
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
    ServiceDevicebound,
    parse_address,
)
from iot_core.errors import HubError
from iot_core.identity import Identity

DEVICE, MODULE = Identity("d"), Identity("d", "m")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("$cbs", Cbs()),
        ("$management", Management()),
        ("hub/$management", Management()),
        ("/messages/devicebound", ServiceDevicebound()),
        ("amqps://host:5671/messages/deviceBound", ServiceDevicebound()),
        ("/messages/serviceBound/feedback", Feedback()),
        ("/messages/serviceBound/filenotifications", FileNotifications()),
        ("/messages/serviceBound/fileuploadnotifications", FileNotifications()),
        ("/messages/events", HubEvents("")),
        ("/messages/events/ConsumerGroups/g/Partitions/0", HubEvents("ConsumerGroups/g/Partitions/0")),
        ("/devices/d/messages/events", DeviceEvents(DEVICE)),
        ("/devices/d/modules/m/messages/events", DeviceEvents(MODULE)),
        ("/devices/d/messages/deviceBound", Devicebound(DEVICE)),
        ("/devices/d/methods/devicebound", DeviceMethods(DEVICE)),
        ("/devices/d/modules/m/methods/devicebound", DeviceMethods(MODULE)),
        ("amqps://host/devices/d/twin", DeviceTwin(DEVICE)),
        ("/devices/a%23b/twin", DeviceTwin(Identity("a#b"))),
        ("sb://host/hub/ConsumerGroups/$Default/Partitions/3", EventPartition("hub", "$Default", "3")),
        ("hub", EventHubEntity("hub")),
        ("hub/Partitions/1", EventHubEntity("hub")),
    ],
)
def test_an_address_says_what_the_link_is_for(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "/", "$other", "/devices/d", "/devices//twin", "/devices/d/modules/m/messages/devicebound", "a/b/c"]
)
def test_other_addresses_do_not_exist(text: str) -> None:
    with pytest.raises(HubError, match="AmqpAddressNotFound"):
        parse_address(text)


def test_the_case_of_ids_counts() -> None:
    assert parse_address("/DEVICES/D/TWIN") == DeviceTwin(Identity("D"))
