"""Messages of inputs are acknowledged when the application is done, in the library as it is installed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from azure.iot.device.aio import IoTHubModuleClient
from paho.mqtt.client import MQTTMessage

from device import late_acknowledgement

KEY = base64.b64encode(b"k" * 32).decode()
INPUT = b"devices/d/modules/m/inputs/in/%24.mid=1"


class Line:
    """The library's MQTT client with a wire that notes what would be acknowledged."""

    def __init__(self, paho: Any) -> None:
        self.paho = paho
        self.acknowledged: list[int] = []
        self.arrived: list[tuple[str, bytes, Callable[[], None]]] = []
        self.connection = object()
        self.done_at_once = False
        paho._send_puback = self.acknowledged.append
        paho.socket = lambda: self.connection

    def publish(self, topic: bytes, packet_id: int, qos: int = 1) -> None:
        """As paho does when a PUBLISH comes."""
        message = MQTTMessage(mid=packet_id, topic=topic)
        message.qos, message.payload = qos, b"{}"
        self.paho._handle_on_message(message)
        if qos:
            self.paho._send_puback(packet_id)

    def take(self, topic: str, body: bytes, done: Callable[[], None]) -> None:
        self.arrived.append((topic, body, done))
        if self.done_at_once:
            done()


@pytest.fixture
def line() -> Line:
    sdk = IoTHubModuleClient.create_from_connection_string(
        f"HostName=h.example;DeviceId=d;ModuleId=m;SharedAccessKey={KEY}"
    )
    line = Line(late_acknowledgement._paho(sdk))
    assert late_acknowledgement.install(sdk, line.take)
    return line


def test_an_input_is_acknowledged_when_it_is_done_and_not_before(line: Line) -> None:
    line.publish(INPUT, 7)
    [(topic, body, done)] = line.arrived
    assert (topic, body, line.acknowledged) == (INPUT.decode(), b"{}", [])
    done()
    assert line.acknowledged == [7]


def test_what_is_done_while_paho_still_works_is_acknowledged_once(line: Line) -> None:
    line.done_at_once = True
    line.publish(INPUT, 7)
    assert line.acknowledged == [7]


def test_other_topics_are_acknowledged_by_the_library(line: Line) -> None:
    line.publish(b"$iothub/twin/PATCH/properties/desired/?$version=2", 8)
    assert (line.arrived, line.acknowledged) == ([], [8])


def test_nothing_is_acknowledged_on_another_connection(line: Line) -> None:
    line.publish(INPUT, 7)
    line.connection = object()
    line.arrived[0][2]()
    assert line.acknowledged == []


def test_a_library_that_is_built_otherwise_is_left_alone() -> None:
    assert late_acknowledgement.install(object(), lambda topic, body, done: None) is False
