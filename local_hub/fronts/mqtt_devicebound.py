"""Cloud-to-device messages on one MQTT connection (IoT Hub documentation, "Communicate with IoT Hub using the MQTT
protocol", receiving cloud-to-device messages).

PUBACK completes a message; MQTT can neither reject nor abandon one. What is not acknowledged goes back into the queue
when its lock of 60 seconds runs out or the connection ends, whichever is first. A subscription with QoS 0 completes a
message by sending it.
"""

from __future__ import annotations

from collections.abc import Callable

from iot_core.identity import Identity
from iot_core.limits import CLOUD_TO_DEVICE_QUEUE_DEPTH
from iot_core.mqtt import Publish
from iot_core.topics import devicebound
from local_hub.c2d.cloud_to_device import CloudToDevice, Delivery

__all__ = ["Devicebound"]


class Devicebound:
    """A ``local_hub.pump.Receiver`` of one device's messages; ``next_packet_id`` gives a number that is not in use."""

    def __init__(
        self,
        c2d: CloudToDevice,
        send: Callable[[Publish], None],
        identity: Identity,
        next_packet_id: Callable[[], int],
    ) -> None:
        self._c2d = c2d
        self._send = send
        self._identity = identity
        self._next_packet_id = next_packet_id
        self._qos = 1
        self._unacknowledged: dict[int, Delivery] = {}

    @property
    def credit(self) -> int:
        """A whole queue: a device is sent what it has, since MQTT 3.1.1 has no flow control."""
        return CLOUD_TO_DEVICE_QUEUE_DEPTH

    def start(self, qos: int) -> None:
        """Bring what is in the queue, and then what comes; with the QoS that was granted."""
        self._qos = qos
        self._c2d.attach(self._identity.device_id, self)

    def pause(self) -> None:
        """Bring no more; what was brought may still be acknowledged."""
        self._c2d.detach(self._identity.device_id, self)

    def stop(self) -> None:
        """The connection is over: what was not acknowledged goes back into the queue."""
        self.pause()
        tokens = [delivery.lock_token for delivery in self._unacknowledged.values()]
        self._unacknowledged.clear()
        self._c2d.release(self._identity.device_id, tokens)

    def deliver(self, item: Delivery) -> None:
        """Send a message; one that comes again has a new packet id, and the old one no longer counts."""
        packet_id = self._next_packet_id() if self._qos else 0
        topic = devicebound(self._identity, item.message)
        self._send(Publish(topic=topic, payload=item.message.body, qos=self._qos, packet_id=packet_id))
        if not self._qos:
            self._c2d.complete_soon(item.device_id, item.lock_token)
            return
        again = [old for old, delivery in self._unacknowledged.items() if delivery.sequence == item.sequence]
        for old in again:
            del self._unacknowledged[old]
        self._unacknowledged[packet_id] = item

    def uses(self, packet_id: int) -> bool:
        """Whether the device has still to acknowledge that packet."""
        return packet_id in self._unacknowledged

    def acknowledged(self, packet_id: int) -> None:
        """A PUBACK came; one for another kind of message says nothing."""
        delivery = self._unacknowledged.pop(packet_id, None)
        if delivery is not None:
            self._c2d.complete_soon(delivery.device_id, delivery.lock_token)
