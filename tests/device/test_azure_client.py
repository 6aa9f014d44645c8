"""SdkClient without a hub: what it takes, what it refuses, how messages are translated."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.azure_client import SdkClient, from_sdk, message_from_topic, to_sdk
from device.errors import EdgeEnvironmentError, HubUnreachableError, NotConnectedError, TrustError
from iot_core.errors import ConnectionStringError, MessageError
from iot_core.message import Message

KEY = "bm90IGEgcmVhbCBrZXk="
DEVICE = f"HostName=127.211.7.9;DeviceId=d1;SharedAccessKey={KEY}"


def test_a_service_s_connection_string_is_refused() -> None:
    with pytest.raises(ConnectionStringError, match="a service's, not a device's"):
        SdkClient.from_connection_string(f"HostName=h;SharedAccessKeyName=owner;SharedAccessKey={KEY}")


def test_a_module_s_connection_string_names_the_module() -> None:
    assert SdkClient.from_connection_string(f"{DEVICE};ModuleId=m1").name == "d1/m1"


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="cannot be read"):
        SdkClient.from_connection_string(DEVICE, ca_file=tmp_path / "missing.pem")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(TrustError, match="holds no PEM certificate"):
        SdkClient.from_connection_string(DEVICE, ca_file=tmp_path / "empty.pem")


async def test_nothing_can_be_sent_before_connecting() -> None:
    with pytest.raises(NotConnectedError, match="d1 is not connected"):
        await SdkClient.from_connection_string(DEVICE).send(Message(b"x"))


async def test_a_host_that_does_not_answer_is_unreachable() -> None:
    client = SdkClient.from_connection_string(DEVICE)
    with pytest.raises(HubUnreachableError, match=r"no connection to 127\.211\.7\.9"):
        await client.connect()
    await client.disconnect()


async def test_without_an_edge_runtime_connecting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOTEDGE_WORKLOADURI", "EdgeHubConnectionString"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EdgeEnvironmentError, match="no IoT Edge runtime started this module"):
        await SdkClient.from_edge_environment().connect()


def test_messages_survive_the_way_through_the_library() -> None:
    message = Message(b"\x00\xff", {"a": "1"}, {"messageId": "m", "contentType": "application/json"})
    assert from_sdk(to_sdk(message)) == message


def test_a_system_property_that_the_library_cannot_send_is_refused() -> None:
    with pytest.raises(MessageError, match="cannot send the system property 'subject'"):
        to_sdk(Message(b"", {}, {"subject": "part"}))


def test_system_properties_left_among_the_custom_ones_are_sorted_out() -> None:
    received = to_sdk(Message(b"x", {"$.cdid": "d1", "own": "1"}))
    received.input_name = "in"
    assert from_sdk(received) == Message(b"x", {"own": "1"}, {"inputName": "in", "connectionDeviceId": "d1"})


def test_a_message_that_came_in_can_be_sent_on() -> None:
    stamped = {"connectionDeviceId": "d", "connectionModuleId": "m", "inputName": "in", "messageId": "7"}
    assert from_sdk(to_sdk(Message(b"x", {"own": "1"}, stamped))) == Message(b"x", {"own": "1"}, {"messageId": "7"})


def test_what_the_edge_hub_says_of_a_message_is_in_its_topic() -> None:
    bag = "%24.mid=7&%24.cdid=d1&%24.cmid=pump&%24.schema=twinChangeNotification&own=a%2Fb&bare"
    system = {"messageId": "7", "connectionDeviceId": "d1", "connectionModuleId": "pump", "inputName": "in"}
    assert message_from_topic(f"devices/d/modules/m/inputs/in/{bag}", b"x") == (
        "in",
        Message(b"x", {"own": "a/b", "bare": ""}, {**system, "messageSchema": "twinChangeNotification"}),
    )
