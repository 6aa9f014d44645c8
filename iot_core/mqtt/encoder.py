"""Packets to bytes. `encode` takes any packet; the other two are for those sent by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, pack
from typing import Any

from iot_core.errors import LocalProtocolError
from iot_core.mqtt.packets import (
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
)

__all__ = ["MAX_REMAINING_LENGTH", "encode", "encode_pubacks", "encode_publish"]

MAX_REMAINING_LENGTH = 268_435_455
"""Four bytes of seven bits each (section 2.2.3)."""
PROTOCOL = b"\x00\x04MQTT\x04"
"""The protocol name and level that open every CONNECT (sections 3.1.2.1 and 3.1.2.2)."""

_uint16 = Struct(">H").pack
_puback = Struct(">HH").pack
_PUBACK_HEADER = 0x4002


def encode(packet: Packet) -> bytes:
    """The packet as sent. Raises LocalProtocolError when it would be longer than MQTT allows (256 MiB)."""
    return _ENCODERS[type(packet)](packet)


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """PUBACKs without the values in between, one after another; the ids must be valid."""
    return pack(f">{len(packet_ids)}I", *[_PUBACK_HEADER << 16 | packet_id for packet_id in packet_ids])


def encode_publish(packet: Publish) -> bytes:
    """A PUBLISH packet."""
    topic = packet.topic.encode()
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    if packet.qos:
        length = len(topic) + 4 + len(packet.payload)
        head = (_header(first, length), _uint16(len(topic)), topic, _uint16(packet.packet_id), packet.payload)
        return b"".join(head)
    length = len(topic) + 2 + len(packet.payload)
    return b"".join((_header(first, length), _uint16(len(topic)), topic, packet.payload))


def _header(first: int, length: int) -> bytes:
    """The fixed header: type with flags, then the remaining length in one to four bytes (section 2.2)."""
    if length < 128:
        return bytes((first, length))
    if length > MAX_REMAINING_LENGTH:
        raise LocalProtocolError(f"a packet of {length} bytes is longer than MQTT's {MAX_REMAINING_LENGTH}")
    header = bytearray((first,))
    while length > 127:
        header.append(length & 127 | 128)
        length >>= 7
    header.append(length)
    return bytes(header)


def _field(value: bytes) -> bytes:
    return _uint16(len(value)) + value


def _connect(packet: Connect) -> bytes:
    flags = packet.clean_session << 1
    parts = [_field(packet.client_id.encode())]
    if packet.will is not None:
        flags |= 0x04 | packet.will.qos << 3 | packet.will.retain << 5
        parts += (_field(packet.will.topic.encode()), _field(packet.will.payload))
    if packet.username is not None:
        flags |= 0x80
        parts.append(_field(packet.username.encode()))
    if packet.password is not None:
        flags |= 0x40
        parts.append(_field(packet.password))
    body = b"".join((PROTOCOL, bytes((flags,)), _uint16(packet.keep_alive), *parts))
    return _header(0x10, len(body)) + body


def _connack(packet: ConnAck) -> bytes:
    return bytes((0x20, 2, packet.session_present, packet.code))


def _subscribe(packet: Subscribe) -> bytes:
    body = _uint16(packet.packet_id) + b"".join(_field(name.encode()) + bytes((qos,)) for name, qos in packet.filters)
    return _header(0x82, len(body)) + body


def _suback(packet: SubAck) -> bytes:
    return _header(0x90, 2 + len(packet.codes)) + _uint16(packet.packet_id) + bytes(packet.codes)


def _unsubscribe(packet: Unsubscribe) -> bytes:
    body = _uint16(packet.packet_id) + b"".join(_field(name.encode()) for name in packet.filters)
    return _header(0xA2, len(body)) + body


def _numbered(first: int) -> Callable[[PubAck | PubRec | PubRel | PubComp | UnsubAck], bytes]:
    return lambda packet: _puback(first << 8 | 2, packet.packet_id)


def _bare(first: int) -> Callable[[PingReq | PingResp | Disconnect], bytes]:
    whole = bytes((first, 0))
    return lambda _packet: whole


_ENCODERS: dict[type[Packet], Callable[[Any], bytes]] = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: encode_publish,
    PubAck: _numbered(0x40),
    PubRec: _numbered(0x50),
    PubRel: _numbered(0x62),
    PubComp: _numbered(0x70),
    Subscribe: _subscribe,
    SubAck: _suback,
    Unsubscribe: _unsubscribe,
    UnsubAck: _numbered(0xB0),
    PingReq: _bare(0xC0),
    PingResp: _bare(0xD0),
    Disconnect: _bare(0xE0),
}
