from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import RemoteProtocolError
from iot_core.websocket import acceptance, read_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "AMQPWSB10, mqtt",
}


def request(line: str = "GET /$iothub/websocket?x=1 HTTP/1.1", **changed: str | None) -> bytes:
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None), "", ""]
    return "\r\n".join(lines).encode()


def test_an_upgrade_is_read() -> None:
    upgrade = read_upgrade(request())
    assert upgrade is not None
    assert (upgrade.target, upgrade.subprotocols) == ("/$iothub/websocket?x=1", ("AMQPWSB10", "mqtt"))


def test_it_is_accepted_with_the_key_of_the_standard_s_example() -> None:
    upgrade = read_upgrade(request())
    assert upgrade is not None
    assert acceptance(upgrade, "mqtt").decode().split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: mqtt",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "head",
    [
        request("POST / HTTP/1.1"),
        request("GET / HTTP/1.0"),
        request(Upgrade=None),
        request(Upgrade="h2c"),
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_other_requests_are_none(head: bytes) -> None:
    assert read_upgrade(head) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request(Connection="close"), 400),
        (request(Sec_WebSocket_Key=None), 400),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (request(Sec_WebSocket_Key="ü"), 400),
        (request(Sec_WebSocket_Version="8"), 426),
        (request(Sec_WebSocket_Version=None), 426),
    ],
)
def test_a_broken_upgrade_is_refused_with_a_status(head: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_upgrade(head)
    assert caught.value.answer == status


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_else(head: bytes) -> None:
    assert read_upgrade(head) is None
    with suppress(RemoteProtocolError):
        read_upgrade(request()[:-2] + head + b"\r\n\r\n")
