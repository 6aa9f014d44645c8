"""A server's side of WebSocket (RFC 6455) without I/O: the opening handshake, and frames both ways.

The payload of data frames is one stream of bytes here, as MQTT and AMQP over WebSocket use it: how a client cuts it
into frames and messages means nothing, so nothing is put together and nothing is held back.
"""

from __future__ import annotations

from iot_core.websocket.frames import Close, Data, Event, FrameDecoder, Ping, close_frame, data_frame, pong_frame
from iot_core.websocket.handshake import Upgrade, acceptance, read_upgrade

__all__ = [
    "Close",
    "Data",
    "Event",
    "FrameDecoder",
    "Ping",
    "Upgrade",
    "acceptance",
    "close_frame",
    "data_frame",
    "pong_frame",
    "read_upgrade",
]
