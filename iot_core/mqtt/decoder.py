"""Bytes to packets, however the bytes are split.

PUBLISH of QoS 0 and 1 takes a path of its own, because a hub reads hundreds of thousands of them a second; every other
packet is built through its class, which checks it. Section numbers are those of the OASIS standard "MQTT Version
3.1.1".
"""

from __future__ import annotations

from collections.abc import Callable

from iot_core.errors import ProtocolError, RemoteProtocolError
from iot_core.mqtt.encoder import MAX_REMAINING_LENGTH
from iot_core.mqtt.packets import (
    UNACCEPTABLE_VERSION,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)
from iot_core.mqtt.topics import check_topic

__all__ = ["Decoder", "MalformedPacket"]

PROTOCOL_LEVEL = 4
"""MQTT 3.1.1 (section 3.1.2.2)."""
_MAX_LENGTH_BYTES = 4


def _setter(kind: type[Packet], name: str) -> Callable[[Packet, object], None]:
    """Sets a field of a frozen packet; a third of the time that the class itself takes, through object.__setattr__."""
    set_field: Callable[[Packet, object], None] = getattr(kind, name).__set__
    return set_field


_new = object.__new__
_set_topic = _setter(Publish, "topic")
_set_payload = _setter(Publish, "payload")
_set_qos = _setter(Publish, "qos")
_set_packet_id = _setter(Publish, "packet_id")
_set_retain = _setter(Publish, "retain")
_set_dup = _setter(Publish, "dup")
_set_number = _setter(PubAck, "packet_id")


class MalformedPacket(RemoteProtocolError):
    """The peer broke MQTT; `before` are the good packets of the same read, `answer` is a CONNACK code or None."""

    def __init__(self, message: str, *, answer: int | None, before: list[Packet]) -> None:
        super().__init__(message, answer=answer)
        self.before = before


class Decoder:
    """Gives every packet that is complete; keeps the rest for the next call. After an error it must not be used again.

    `max_packet_size` bounds a whole packet, fixed header included, and so what the decoder ever holds back.
    """

    __slots__ = ("_max", "_needed", "_rest", "_topic", "_topic_bytes")

    def __init__(self, max_packet_size: int = MAX_REMAINING_LENGTH) -> None:
        self._max = max_packet_size
        self._rest = bytearray()
        self._needed = 0
        # Devices publish to one topic over and over: the last one is known to be valid.
        self._topic_bytes: bytes | None = None
        self._topic = ""

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that these bytes complete, in order. Raises MalformedPacket, which holds those before it."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        packets: list[Packet] = []
        try:
            end = self._decode(data, packets.append)
        except ProtocolError as error:
            raise MalformedPacket(str(error), answer=error.answer, before=packets) from None
        if end < len(data):
            self._rest += data[end:] if end else data
        return packets

    def _decode(self, data: bytes, append: Callable[[Packet], None]) -> int:
        """Decode as far as packets are complete; returns where the first incomplete one begins."""
        size, position = len(data), 0
        while True:
            start = position + 2
            if start > size:
                self._needed = 2
                return position
            first, length = data[position], data[position + 1]
            if length > 127:
                if start < size and data[start] < 128:
                    length, start = length & 127 | data[start] << 7, start + 1
                else:
                    length, start = _long_length(data, position)
                if not start:
                    self._needed = size - position + 1
                    self._check_size(self._needed)
                    return position
            end = start + length
            whole = end - position
            if whole > self._max:
                self._check_size(whole)
            if end > size:
                self._needed = whole
                return position
            if first & 0xF4 == 0x30:
                append(self._publish(data, first, start, end))
            elif first == 0x40 and length == 2:
                append(_puback(data[start] << 8 | data[start + 1]))
            else:
                append(_build(first, data[start:end]))
            position = end

    def _publish(self, data: bytes, first: int, start: int, end: int) -> Publish:
        """A PUBLISH of QoS 0 or 1 (section 3.3), checked here, not by its class."""
        if end - start < 2:
            raise RemoteProtocolError(_TRUNCATED)
        split = start + 2 + (data[start] << 8 | data[start + 1])
        payload_start, packet_id = split, 0
        if first & 2:
            payload_start += 2
            if payload_start <= end:
                packet_id = data[split] << 8 | data[split + 1]
                if not packet_id:
                    raise RemoteProtocolError("a PUBLISH has packet id 0")
        elif first & 8:
            raise RemoteProtocolError("a PUBLISH of QoS 0 is marked as a duplicate")
        if payload_start > end:
            raise RemoteProtocolError(_TRUNCATED)
        topic = data[start + 2 : split]
        if topic != self._topic_bytes:
            self._topic = _topic(topic)
            self._topic_bytes = topic
        packet = _new(Publish)
        _set_topic(packet, self._topic)
        _set_payload(packet, data[payload_start:end])
        _set_qos(packet, first >> 1 & 1)
        _set_packet_id(packet, packet_id)
        _set_retain(packet, first & 1 == 1)
        _set_dup(packet, first & 8 == 8)
        return packet

    def _check_size(self, size: int) -> None:
        if size > self._max:
            raise RemoteProtocolError(f"a packet of {size} bytes is longer than the {self._max} allowed")


class _Body:
    """Reads the fields of one packet in turn."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise RemoteProtocolError(_TRUNCATED)
        return self._data[start : self._position]

    def byte(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.uint16())

    def text(self) -> str:
        return _text(self.binary())

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)

    def more(self) -> bool:
        return self._position < len(self._data)


def _long_length(data: bytes, position: int) -> tuple[int, int]:
    """A remaining length of several bytes and where the packet's body starts: 0 when not all of them are there."""
    length = 0
    for index in range(_MAX_LENGTH_BYTES):
        at = position + 1 + index
        if at >= len(data):
            return 0, 0
        length |= (data[at] & 127) << 7 * index
        if data[at] < 128:
            return length, at + 1
    raise RemoteProtocolError("a remaining length takes more than four bytes")


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("an MQTT string is not UTF-8") from None
    if "\0" in text:
        raise RemoteProtocolError("an MQTT string holds U+0000")
    return text


def _topic(raw: bytes) -> str:
    topic = _text(raw)
    if not topic or "+" in topic or "#" in topic:
        check_topic(topic)
    return topic


def _puback(packet_id: int) -> PubAck:
    if not packet_id:
        raise RemoteProtocolError("a PUBACK has packet id 0")
    packet = _new(PubAck)
    _set_number(packet, packet_id)
    return packet


def _build(first: int, data: bytes) -> Packet:
    """Any packet, from its first byte and what follows the fixed header."""
    kind = first >> 4
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise RemoteProtocolError(f"there is no packet of type {kind}")
    if kind != _PUBLISH and first & 15 != _FLAGS.get(kind, 0):
        raise RemoteProtocolError(f"a packet of type {kind} has the reserved flags {first & 15:04b}")
    body = _Body(data)
    packet = builder(body, first)
    if body.more():
        raise RemoteProtocolError(f"a {type(packet).__name__.upper()} is longer than its fields")
    return packet


def _connect(body: _Body, _first: int) -> Connect:
    name, level = body.binary(), body.byte()
    if name == b"MQIsdp" or (name == b"MQTT" and level != PROTOCOL_LEVEL):
        raise RemoteProtocolError(f"MQTT protocol level {level} is not 4 (3.1.1)", answer=UNACCEPTABLE_VERSION)
    if name != b"MQTT":
        raise RemoteProtocolError("CONNECT does not name the protocol MQTT")
    flags, keep_alive = body.byte(), body.uint16()
    if flags & 1:
        raise RemoteProtocolError("CONNECT has its reserved flag set")
    return Connect(
        client_id=body.text(),
        clean_session=flags & 0x02 != 0,
        keep_alive=keep_alive,
        will=_will(body, flags),
        username=body.text() if flags & 0x80 else None,
        password=body.binary() if flags & 0x40 else None,
    )


def _will(body: _Body, flags: int) -> Will | None:
    if flags & 0x04:
        qos, retain = flags >> 3 & 3, flags & 0x20 != 0
        return Will(topic=body.text(), payload=body.binary(), qos=qos, retain=retain)
    if flags & 0x38:
        raise RemoteProtocolError("CONNECT has will flags without a will")
    return None


def _connack(body: _Body, _first: int) -> ConnAck:
    flags = body.byte()
    if flags > 1:
        raise RemoteProtocolError("CONNACK has reserved flags set")
    return ConnAck(session_present=flags == 1, code=body.byte())


def _any_publish(body: _Body, first: int) -> Publish:
    topic, qos = body.text(), first >> 1 & 3
    packet_id = body.uint16() if qos else 0
    return Publish(
        topic=topic,
        payload=body.rest(),
        qos=qos,
        packet_id=packet_id,
        retain=first & 1 != 0,
        dup=first & 8 != 0,
    )


def _subscribe(body: _Body, _first: int) -> Subscribe:
    packet_id, filters = body.uint16(), []
    while body.more():
        filters.append((body.text(), body.byte()))
    return Subscribe(packet_id=packet_id, filters=tuple(filters))


def _unsubscribe(body: _Body, _first: int) -> Unsubscribe:
    packet_id, filters = body.uint16(), []
    while body.more():
        filters.append(body.text())
    return Unsubscribe(packet_id=packet_id, filters=tuple(filters))


_TRUNCATED = "a packet ends in the middle of a field"
_PUBLISH = 3
_FLAGS = {6: 0b0010, 8: 0b0010, 10: 0b0010}
"""The reserved flags that are not 0: those of PUBREL, SUBSCRIBE and UNSUBSCRIBE (section 2.2.2)."""
_BUILDERS: dict[int, Callable[[_Body, int], Packet]] = {
    1: _connect,
    2: _connack,
    _PUBLISH: _any_publish,
    4: lambda body, _: PubAck(packet_id=body.uint16()),
    5: lambda body, _: PubRec(packet_id=body.uint16()),
    6: lambda body, _: PubRel(packet_id=body.uint16()),
    7: lambda body, _: PubComp(packet_id=body.uint16()),
    8: _subscribe,
    9: lambda body, _: SubAck(packet_id=body.uint16(), codes=tuple(body.rest())),
    10: _unsubscribe,
    11: lambda body, _: UnsubAck(packet_id=body.uint16()),
    12: lambda _body, _: PingReq(),
    13: lambda _body, _: PingResp(),
    14: lambda _body, _: Disconnect(),
}
