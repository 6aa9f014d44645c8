"""The opening handshake of RFC 6455, section 4: a client's request read, the server's acceptance written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from iot_core.errors import RemoteProtocolError

__all__ = ["Upgrade", "acceptance", "read_upgrade"]

VERSION = "13"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_REQUEST_LINE = re.compile(r"GET (/\S*) HTTP/1\.1")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")
_BAD_REQUEST, _UPGRADE_REQUIRED = 400, 426


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgrade:
    """A client asks for a WebSocket at `target` (path and query as sent) with one of `subprotocols`, best first."""

    target: str
    key: str
    subprotocols: tuple[str, ...]


def read_upgrade(head: bytes) -> Upgrade | None:
    """The upgrade that a request head (up to and with its empty line) asks for; None for any other request.

    Raises RemoteProtocolError for an upgrade that breaks the rules; its `answer` is the HTTP status to give.
    """
    lines = head.decode("latin-1").split("\r\n")
    request = _REQUEST_LINE.fullmatch(lines[0])
    headers = _headers(lines[1:])
    if request is None or headers is None or "websocket" not in _tokens(headers.get("upgrade", "").lower()):
        return None
    if "upgrade" not in _tokens(headers.get("connection", "").lower()):
        raise RemoteProtocolError("a WebSocket request needs 'Connection: Upgrade'", answer=_BAD_REQUEST)
    if headers.get("sec-websocket-version") != VERSION:
        raise RemoteProtocolError(f"a WebSocket request needs version {VERSION}", answer=_UPGRADE_REQUIRED)
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        raise RemoteProtocolError("Sec-WebSocket-Key must be base64 of 16 bytes", answer=_BAD_REQUEST)
    return Upgrade(target=request[1], key=key, subprotocols=_tokens(headers.get("sec-websocket-protocol", "")))


def acceptance(upgrade: Upgrade, subprotocol: str) -> bytes:
    """The response that turns the connection into a WebSocket; `subprotocol` as the client spelled it."""
    digest = hashlib.sha1(f"{upgrade.key}{_GUID}".encode("ascii"), usedforsecurity=False).digest()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode('ascii')}",
        f"Sec-WebSocket-Protocol: {subprotocol}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def _headers(lines: list[str]) -> dict[str, str] | None:
    """Names in lower case, values of repeated ones joined by commas; None when a line is no header."""
    headers: dict[str, str] = {}
    for line in filter(None, lines):
        match = _HEADER.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        headers[name] = f"{headers[name]}, {match[2]}" if name in headers else match[2]
    return headers


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False
