"""SASL and protocol headers: everything before open (OASIS AMQP 1.0 part 2, section 2.2, and part 5, section 5.3).

    state             a server                                      a client
    HEADER            waits for the client's header: AMQP -> DONE,  has sent its SASL header and waits for the server's
                      SASL -> sends mechanisms, -> SASL
    SASL              waits for init -> DECIDING                    waits for mechanisms, sends init, -> DECIDING
    DECIDING          the user decides; nothing is read             waits for the outcome
                      accepted -> AMQP_HEADER, refused -> FAILED    accepted -> AMQP_HEADER, refused -> FAILED
                      asks on -> CHALLENGED
    CHALLENGED        waits for the response, -> DECIDING
    AMQP_HEADER       waits for the AMQP header, answers it, DONE   has sent its AMQP header, waits for the server's
    DONE              frames follow                                 frames follow
    FAILED            the connection is to be hung up               the connection is to be hung up

A header of another protocol or version is answered with the one that we would have taken, then the connection fails.
The client has no mechanism that needs a challenge; one that the server sends is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from iot_core.amqp import fields
from iot_core.amqp.composite import composite, read_composite
from iot_core.amqp.errors import FRAMING_ERROR, NOT_IMPLEMENTED, UNAUTHORIZED_ACCESS, AmqpViolation
from iot_core.amqp.events import Event, SaslOutcomeReceived, SaslRequested, SaslResponseReceived
from iot_core.amqp.frames import SASL_FRAME, Framer, Protocol, encode_frame
from iot_core.amqp.settings import ClientSasl, Settings
from iot_core.errors import LocalProtocolError

__all__ = ["SASL_AUTH_FAILED", "SASL_OK", "ClientNegotiation", "Negotiation", "Phase", "ServerNegotiation"]

SASL_OK, SASL_AUTH_FAILED, SASL_SYSTEM_TEMPORARY = 0, 1, 4
"""Outcomes (section 5.3.3.6)."""
MAX_SASL_FRAME = 16 * 1024
"""Bytes; the standard allows 512, a bearer token in PLAIN is longer."""


@composite(0x40, "amqp:sasl-mechanisms:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class SaslMechanisms:
    """What the server offers (section 5.3.3.1)."""

    sasl_server_mechanisms: fields.Symbols


@composite(0x41, "amqp:sasl-init:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class SaslInit:
    """What the client chose (section 5.3.3.2)."""

    mechanism: fields.Word
    initial_response: fields.Binary | None = None
    hostname: fields.Text | None = None

    def __repr__(self) -> str:
        return f"SaslInit(mechanism={self.mechanism!r}, hostname={self.hostname!r})"


@composite(0x42, "amqp:sasl-challenge:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class SaslChallenge:
    """A question (section 5.3.3.3)."""

    challenge: fields.Binary

    def __repr__(self) -> str:
        return "SaslChallenge()"


@composite(0x43, "amqp:sasl-response:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class SaslResponse:
    """Its answer (section 5.3.3.4)."""

    response: fields.Binary

    def __repr__(self) -> str:
        return "SaslResponse()"


@composite(0x44, "amqp:sasl-outcome:list")
@dataclass(frozen=True, kw_only=True, slots=True)
class SaslOutcome:
    """Whether the client is in (section 5.3.3.5)."""

    code: fields.Number8
    additional_data: fields.Binary | None = None


class Phase(enum.Enum):
    """Where a negotiation stands; see the table on top."""

    HEADER = enum.auto()
    SASL = enum.auto()
    DECIDING = enum.auto()
    CHALLENGED = enum.auto()
    AMQP_HEADER = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


_Send: TypeAlias = Callable[[bytes], None]


class ServerNegotiation:
    """The server's half."""

    def __init__(self, settings: Settings, framer: Framer, send: _Send) -> None:
        self.phase = Phase.HEADER
        self._settings = settings
        self._framer = framer
        self._send = send

    @property
    def is_done(self) -> bool:
        """Whether frames follow."""
        return self.phase is Phase.DONE

    @property
    def can_send_open(self) -> bool:
        """Whether frames may be sent."""
        return self.phase is Phase.DONE

    def advance(self) -> Event | None:
        """Go on with what has arrived: the next event, or None when more is needed. Raises AmqpViolation."""
        while self.phase in (Phase.HEADER, Phase.AMQP_HEADER):
            raw = self._framer.header()
            if raw is None:
                return None
            self._on_header(raw)
        if self.phase is Phase.SASL:
            init = _next_sasl(self._framer, SaslInit)
            return None if init is None else self._on_init(init)
        if self.phase is Phase.CHALLENGED:
            answer = _next_sasl(self._framer, SaslResponse)
            return None if answer is None else self._on_response(answer)
        return None

    def challenge(self, data: bytes) -> None:
        """Ask the client for one more response. Raises LocalProtocolError when no client waits for an outcome."""
        if self.phase is not Phase.DECIDING:
            raise LocalProtocolError("no client waits for a SASL outcome")
        self._send_sasl(SaslChallenge(challenge=data))
        self.phase = Phase.CHALLENGED

    def decide(self, is_accepted: bool) -> None:
        """Send the outcome. Raises LocalProtocolError when no client waits for it."""
        if self.phase is not Phase.DECIDING:
            raise LocalProtocolError("no client waits for a SASL outcome")
        self._send_sasl(SaslOutcome(code=SASL_OK if is_accepted else SASL_AUTH_FAILED))
        self.phase = Phase.AMQP_HEADER if is_accepted else Phase.FAILED

    def _on_header(self, raw: bytes) -> None:
        if raw == Protocol.AMQP.value and (self.phase is Phase.AMQP_HEADER or not self._settings.sasl_required):
            self._send(raw)
            self.phase = Phase.DONE
        elif raw == Protocol.SASL.value and self.phase is Phase.HEADER:
            self._send(raw)
            self._send_sasl(SaslMechanisms(sasl_server_mechanisms=self._settings.sasl_mechanisms))
            self.phase = Phase.SASL
        else:
            self._refuse_header(raw)

    def _refuse_header(self, raw: bytes) -> None:
        wants_sasl = self.phase is Phase.HEADER and (self._settings.sasl_required or raw[:5] == b"AMQP\x03")
        self._send((Protocol.SASL if wants_sasl else Protocol.AMQP).value)
        self.phase = Phase.FAILED
        raise AmqpViolation(f"the protocol header {raw!r} is not served", condition=NOT_IMPLEMENTED)

    def _on_init(self, init: SaslInit) -> Event | None:
        if init.mechanism not in self._settings.sasl_mechanisms:
            self._send_sasl(SaslOutcome(code=SASL_AUTH_FAILED))
            raise self._failure(f"the SASL mechanism {init.mechanism[:40]!r} is not offered")
        username, password = self._credentials(init)
        self.phase = Phase.DECIDING
        return SaslRequested(
            mechanism=init.mechanism,
            hostname=init.hostname,
            username=username,
            password=password,
            response=init.initial_response or b"",
        )

    def _on_response(self, answer: SaslResponse) -> Event:
        self.phase = Phase.DECIDING
        return SaslResponseReceived(response=answer.response)

    def _credentials(self, init: SaslInit) -> tuple[str | None, str | None]:
        """User and password of PLAIN: authzid NUL authcid NUL password (RFC 4616)."""
        if init.mechanism != "PLAIN":
            return None, None
        try:
            _, username, password = (init.initial_response or b"").decode().split("\0")
        except ValueError:
            self._send_sasl(SaslOutcome(code=SASL_AUTH_FAILED))
            raise self._failure("the response of SASL PLAIN is not made of user and password") from None
        return username, password

    def _failure(self, text: str) -> AmqpViolation:
        self.phase = Phase.FAILED
        return AmqpViolation(text, condition=UNAUTHORIZED_ACCESS)

    def _send_sasl(self, performative: Any) -> None:
        self._send(encode_frame(performative, kind=SASL_FRAME))


class ClientNegotiation:
    """The client's half: its header leaves at once."""

    def __init__(self, settings: Settings, framer: Framer, send: _Send) -> None:
        self._framer = framer
        self._send = send
        self._sasl = settings.client_sasl or ClientSasl()
        self.phase = Phase.HEADER if settings.client_sasl else Phase.AMQP_HEADER
        send((Protocol.SASL if settings.client_sasl else Protocol.AMQP).value)

    @property
    def is_done(self) -> bool:
        """Whether frames follow."""
        return self.phase is Phase.DONE

    @property
    def can_send_open(self) -> bool:
        """Whether frames may be sent: once our AMQP header is, without waiting for the server's (section 2.4.1)."""
        return self.phase in (Phase.AMQP_HEADER, Phase.DONE)

    def advance(self) -> Event | None:
        """Go on with what has arrived: the next event, or None when more is needed. Raises AmqpViolation."""
        if self.phase is Phase.HEADER and self._expect(Protocol.SASL):
            self.phase = Phase.SASL
        if self.phase is Phase.SASL:
            mechanisms = _next_sasl(self._framer, SaslMechanisms)
            if mechanisms is not None:
                self._choose(mechanisms)
        if self.phase is Phase.DECIDING:
            outcome = _next_sasl(self._framer, SaslOutcome)
            return None if outcome is None else self._on_outcome(outcome)
        if self.phase is Phase.AMQP_HEADER and self._expect(Protocol.AMQP):
            self.phase = Phase.DONE
        return None

    def challenge(self, data: bytes) -> None:
        """A client asks nothing: raises LocalProtocolError."""
        raise LocalProtocolError("only a server sends a SASL challenge")

    def decide(self, is_accepted: bool) -> None:
        """A client has nothing to decide: raises LocalProtocolError."""
        raise LocalProtocolError("only a server sends a SASL outcome")

    def _expect(self, protocol: Protocol) -> bool:
        raw = self._framer.header()
        if raw is not None and raw != protocol.value:
            self.phase = Phase.FAILED
            raise AmqpViolation(f"the server answers with the protocol header {raw!r}", condition=NOT_IMPLEMENTED)
        return raw is not None

    def _choose(self, mechanisms: SaslMechanisms) -> None:
        mine = self._sasl
        if mine.mechanism not in mechanisms.sasl_server_mechanisms:
            self.phase = Phase.FAILED
            raise AmqpViolation(f"the server does not offer SASL {mine.mechanism}", condition=UNAUTHORIZED_ACCESS)
        init = SaslInit(mechanism=mine.mechanism, initial_response=mine.response, hostname=mine.hostname)
        self._send(encode_frame(init, kind=SASL_FRAME))
        self.phase = Phase.DECIDING

    def _on_outcome(self, outcome: SaslOutcome) -> Event:
        if outcome.code == SASL_OK:
            self._send(Protocol.AMQP.value)
            self.phase = Phase.AMQP_HEADER
        else:
            self.phase = Phase.FAILED
        return SaslOutcomeReceived(is_accepted=outcome.code == SASL_OK, code=outcome.code)


Negotiation: TypeAlias = ServerNegotiation | ClientNegotiation


def _next_sasl(framer: Framer, kind: type[Any]) -> Any:
    """The next SASL frame, which must be of this kind; None while it is not there."""
    longest, framer.max_frame_size = framer.max_frame_size, MAX_SASL_FRAME
    try:
        frame = framer.frame()
    finally:
        framer.max_frame_size = longest
    if frame is None:
        return None
    if frame.kind != SASL_FRAME:
        raise AmqpViolation("a frame that is not of SASL comes before the login is done", condition=FRAMING_ERROR)
    performative, end = read_composite(frame.body, 0)
    if type(performative) is not kind or end != len(frame.body):
        raise AmqpViolation(
            f"a {type(performative).__name__} comes where a {kind.__name__} must", condition=NOT_IMPLEMENTED
        )
    return performative
