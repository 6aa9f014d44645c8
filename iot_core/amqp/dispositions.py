"""Dispositions of ours that say the same of deliveries that follow each other: one frame instead of many."""

from __future__ import annotations

from iot_core.amqp import serial
from iot_core.amqp.frames import encode_frame
from iot_core.amqp.performatives import DeliveryState, Disposition

__all__ = ["DispositionBatch"]


class DispositionBatch:
    """Holds back at most one disposition. Its user must take it before sending anything else, to keep the order."""

    __slots__ = ("_first", "_key", "_last")

    def __init__(self) -> None:
        self._key: tuple[int, bool, bool, DeliveryState | None] | None = None
        self._first = self._last = 0

    def add(
        self, channel: int, role: bool, delivery_id: int, settled: bool, state: DeliveryState | None
    ) -> bytes | None:
        """Join it to the one held back; where that is not possible, the frame of that one is returned, to be sent."""
        key = (channel, role, settled, state)
        if self._key is not None and delivery_id == serial.add(self._last, 1) and key == self._key:
            self._last = delivery_id
            return None
        finished = self.take()
        self._key, self._first, self._last = key, delivery_id, delivery_id
        return finished

    def take(self) -> bytes | None:
        """The frame of what is held back, which is not any more."""
        if self._key is None:
            return None
        channel, role, settled, state = self._key
        self._key = None
        disposition = Disposition(role=role, first=self._first, last=self._last, settled=settled, state=state)
        return encode_frame(disposition, channel=channel)
