"""The provisioning service over MQTT: devices log in, ask for their hub and how that went.

Source: DPS documentation, "Communicate with your DPS using the MQTT protocol".

A token is judged at log-in; a certificate with each request, as the service does. No session outlives its connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from iot_core.dps import (
    RESPONSES,
    Register,
    StatusQuery,
    operation_body,
    parse_login,
    parse_request,
    response_topic,
)
from iot_core.dps.registration import RETRY_AFTER_S
from iot_core.errors import EdgeyardError, HubError, InputError, MessageError
from iot_core.json_types import JsonObject
from iot_core.mqtt import NOT_AUTHORIZED, Connect, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe
from iot_core.sas import without_secrets
from local_hub.controls.faults import CutError, LostError
from local_hub.dps.admission import Kind
from local_hub.dps.attestation import Attempt, unauthorized
from local_hub.dps.requests import read_body, taken, with_body
from local_hub.fronts import refusals
from local_hub.fronts.envelopes import Envelope, error_body
from local_hub.hub import Hub
from transport.mqtt_server import MqttServerProtocol

__all__ = ["ProvisioningMqtt", "is_provisioning"]

MOST_PENDING = 16
"""Requests of one connection that may wait for their answers; a device has one, and who has more is cut off."""

_log = logging.getLogger(__name__)


def is_provisioning(packet: Connect) -> bool:
    """Whether a CONNECT is for the provisioning service."""
    try:
        return parse_login(packet.username or "") is not None
    except InputError:
        return True


@dataclass(kw_only=True, slots=True, eq=False)
class _Client:
    """A connection that has logged in; ``qos`` is what it was granted for answers, None when it asked for none."""

    attempt: Attempt
    qos: int | None = None
    pending: int = 0
    packet_ids: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(1, 65_536)))


class ProvisioningMqtt:
    """The handler of connections to the provisioning service; the hub's own handler hands them over."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._open: set[MqttServerProtocol] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End every connection once what was asked is answered."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._open):
            connection.close("the hub stops")

    # -- the handler that transport.mqtt_server calls

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        """Log a device in, or refuse it with return code 5 and say why in the log."""
        if self._hub.provisioning.admission.idle:
            self._let_in(connection, packet)
        else:
            self._spawn(self._admit(connection, packet))

    async def _admit(self, connection: MqttServerProtocol, packet: Connect) -> None:
        """Let a device in where faults do; one that is lost is never answered."""
        try:
            await self._hub.provisioning.admission.hold(packet.client_id)
        except LostError:
            _log.info("%s: connection lost by a fault", without_secrets(packet.client_id))
        except CutError as error:
            connection.close(str(error))
        else:
            self._let_in(connection, packet)

    def _let_in(self, connection: MqttServerProtocol, packet: Connect) -> None:
        try:
            self._hub.provisioning.admission.check_login(packet.client_id)
            attempt = _attempt(connection, packet)
            if attempt.token:
                self._hub.provisioning.registrations.check(attempt)
            elif not attempt.chain:
                raise unauthorized()
        except EdgeyardError as error:
            _log.info("%s: provisioning refused: %s", without_secrets(packet.client_id), without_secrets(str(error)))
            connection.refuse(NOT_AUTHORIZED)
            return
        connection.session = _Client(attempt=attempt)
        self._open.add(connection)
        connection.accept()

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        client = connection.session
        for packet in packets:
            if isinstance(client, _Client) and connection.is_open:
                self._take(connection, client, packet)

    def _take(self, connection: MqttServerProtocol, client: _Client, packet: Publish) -> None:
        try:
            request = parse_request(packet.topic)
        except MessageError as error:
            connection.close(str(error))
            return
        if packet.qos > 1 or client.pending >= MOST_PENDING:
            connection.close("the provisioning service takes no QoS 2, and few requests at a time")
            return
        client.pending += 1
        self._spawn(self._answer(connection, client, request, packet))

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        """Grant the one filter there is with at most QoS 1; another one ends the connection."""
        client = connection.session
        if not isinstance(client, _Client):
            return
        if any(name != RESPONSES for name, _ in packet.filters):
            connection.close(f"the provisioning service has only {RESPONSES} to subscribe to")
            return
        codes = tuple(min(qos, 1) for _, qos in packet.filters)
        client.qos = codes[-1]
        connection.send(SubAck(packet_id=packet.packet_id, codes=codes))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        client = connection.session
        if isinstance(client, _Client):
            if RESPONSES in packet.filters:
                client.qos = None
            connection.send(UnsubAck(packet_id=packet.packet_id))

    def on_puback(self, connection: MqttServerProtocol, packet_id: int) -> None:
        """Nothing waits for it: a device that lost an answer asks again."""

    def on_disconnect(self, connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        connection.session = None
        self._open.discard(connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- requests

    async def _answer(
        self, connection: MqttServerProtocol, client: _Client, request: Register | StatusQuery, packet: Publish
    ) -> None:
        try:
            topic, body = await self._result(client, request, packet.payload)
        except LostError:
            if packet.qos:
                connection.forget(packet.packet_id)
            return
        except CutError as error:
            connection.close(str(error))
            return
        finally:
            client.pending -= 1
        if packet.qos:
            connection.ack(packet.packet_id)
        if client.qos is not None:
            packet_id = next(client.packet_ids) if client.qos else 0
            connection.send(Publish(topic=topic, payload=body, qos=client.qos, packet_id=packet_id))

    async def _result(self, client: _Client, request: Register | StatusQuery, payload: bytes) -> tuple[str, bytes]:
        """The topic and the body of the answer, refusals too; LostError, CutError."""
        try:
            status, body = await self._handle(client.attempt, request, payload)
        except HubError as error:
            return self._refusal(error, request)
        except (LostError, CutError):
            raise
        except EdgeyardError:
            _log.exception("%s: a registration failed", client.attempt.login.registration_id)
            return self._refusal(refusals.internal_error(), request)
        wait = RETRY_AFTER_S if status == 202 else None
        return response_topic(status, request.request_id, wait), orjson.dumps(body)

    def _refusal(self, error: HubError, request: Register | StatusQuery) -> tuple[str, bytes]:
        body = error_body(error, Envelope.PROVISIONING, self._hub.clock.now())
        wait = RETRY_AFTER_S if error.status == HTTPStatus.TOO_MANY_REQUESTS else None
        return response_topic(error.status, request.request_id, wait), body

    async def _handle(
        self, attempt: Attempt, request: Register | StatusQuery, payload: bytes
    ) -> tuple[int, JsonObject]:
        registrations = self._hub.provisioning.registrations
        kind = Kind.POLL if isinstance(request, StatusQuery) else Kind.REGISTRATION
        await self._hub.provisioning.admission.admit(attempt.login.registration_id, kind)
        if isinstance(request, StatusQuery):
            return 200, operation_body(registrations.operation(attempt, request.operation_id))
        return taken(await registrations.register(with_body(attempt, read_body(payload))))


def _attempt(connection: MqttServerProtocol, packet: Connect) -> Attempt:
    login = parse_login(packet.username or "")
    if login is None or packet.client_id.lower() != login.registration_id.lower():
        raise unauthorized()
    token = (packet.password or b"").decode("utf-8", "replace")
    return Attempt(login=login, token=token, chain=connection.peer_chain_der)
