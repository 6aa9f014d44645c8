"""A log-in of several steps, as the server's engine sees it."""

from __future__ import annotations

import pytest

from iot_core.amqp import Connection, SaslRequested, SaslResponseReceived, Settings
from iot_core.amqp.frames import SASL_FRAME, Protocol, encode_frame
from iot_core.amqp.sasl import SaslChallenge, SaslInit, SaslResponse
from iot_core.errors import LocalProtocolError


@pytest.fixture
def server() -> Connection:
    """A server that a client has begun to log in to."""
    made = Connection(Settings(container_id="hub", sasl_mechanisms=("TPM",)), is_server=True)
    init = SaslInit(mechanism="TPM", initial_response=b"first")
    made.receive_data(Protocol.SASL.value + encode_frame(init, kind=SASL_FRAME))
    return made


def respond(server: Connection, response: bytes) -> list[object]:
    server.receive_data(encode_frame(SaslResponse(response=response), kind=SASL_FRAME))
    return list(server.events())


def test_each_challenge_is_answered_by_one_response(server: Connection) -> None:
    (login,) = server.events()
    assert isinstance(login, SaslRequested)
    assert (login.mechanism, login.response) == ("TPM", b"first")
    server.send_sasl_challenge(b"who?")
    assert encode_frame(SaslChallenge(challenge=b"who?"), kind=SASL_FRAME) in server.data_to_send()
    assert respond(server, b"me") == [SaslResponseReceived(response=b"me")]
    server.send_sasl_outcome(is_accepted=True)
    assert not server.should_hang_up


def test_nothing_is_asked_of_nobody(server: Connection) -> None:
    list(server.events())
    server.send_sasl_outcome(is_accepted=False)
    with pytest.raises(LocalProtocolError, match="no client waits"):
        server.send_sasl_challenge(b"who?")
    assert server.should_hang_up


def test_an_outcome_has_to_wait_for_the_response(server: Connection) -> None:
    list(server.events())
    server.send_sasl_challenge(b"who?")
    with pytest.raises(LocalProtocolError, match="no client waits"):
        server.send_sasl_outcome(is_accepted=True)


def test_secrets_stay_out_of_reprs(server: Connection) -> None:
    (login,) = server.events()
    server.send_sasl_challenge(b"who?")
    shown = [repr(login), repr(SaslResponse(response=b"me")), *map(repr, respond(server, b"me"))]
    assert not any("first" in text or "me'" in text for text in shown)
