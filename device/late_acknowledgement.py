"""Acknowledges the messages of a module's inputs only when the application is done with them.

azure-iot-device acknowledges a message the moment it arrives, so one that is still being handled when the process is
killed is lost: the edge hub has forgotten it. Here paho, the MQTT client inside, hands the messages of inputs over
itself, and their PUBACK waits for `done`. The edge hub sends what was not acknowledged again, after a while or when the
module is back.

This is the one place that reaches into the library; where it is built otherwise than version 2.14, `install` says so
and its own way stays in force.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Arrived", "install"]

INPUTS = "devices/+/modules/+/inputs/#"
NEEDED = ("message_callback_add", "socket", "_send_puback")
SUCCESS = 0  # MQTT_ERR_SUCCESS

Done = Callable[[], None]
Arrived = Callable[[str, bytes, Done], None]
"""Called on the library's thread with a topic, a body and the function that acknowledges, which any thread may call."""


def install(sdk: Any, arrived: Arrived) -> bool:
    """Have the messages of inputs given to `arrived`; before `sdk` connects. False: the library is built otherwise."""
    paho = _paho(sdk)
    if paho is None or not all(hasattr(paho, name) for name in NEEDED):
        return False
    _LateAcknowledgement(paho, arrived)
    return True


class _LateAcknowledgement:
    def __init__(self, paho: Any, arrived: Arrived) -> None:
        self._paho = paho
        self._arrived = arrived
        self._held: set[int] = set()
        """Packets whose callback runs: paho acknowledges right after it, on the same thread."""
        self._acknowledge = paho._send_puback
        paho._send_puback = self._unless_held
        paho.message_callback_add(INPUTS, self._message)

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        packet_id, connection = message.mid, self._paho.socket()

        def done() -> None:
            # The number of a packet means something on its own connection only.
            if connection is not None and self._paho.socket() is connection:
                self._acknowledge(packet_id)

        if message.qos:
            self._held.add(packet_id)
        self._arrived(message.topic, message.payload, done if message.qos else _nothing)

    def _unless_held(self, packet_id: int) -> Any:
        if packet_id in self._held:
            self._held.discard(packet_id)
            return SUCCESS
        return self._acknowledge(packet_id)


def _paho(sdk: Any) -> Any:
    """The MQTT client at the end of the library's pipeline, or None."""
    stage = getattr(getattr(sdk, "_mqtt_pipeline", None), "_pipeline", None)
    while stage is not None:
        if (transport := getattr(stage, "transport", None)) is not None:
            return getattr(transport, "_mqtt_client", None)
        stage = getattr(stage, "next", None)
    return None


def _nothing() -> None:
    """QoS 0 has no acknowledgement."""
