"""The MQTT front: log-in, subscriptions, wills and the end of connections (MQTT 3.1.1 as IoT Hub takes it).

A connection is one identity's. It ends when another of the same identity comes, when its token expires, when the
identity is disabled or deleted, and for everything IoT Hub does not take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from iot_core.errors import EdgeyardError, HubError, InputError, MessageError
from iot_core.identity import Identity
from iot_core.limits import MQTT_KEEP_ALIVE_MAX_S
from iot_core.message import Message
from iot_core.mqtt import NOT_AUTHORIZED, SERVER_UNAVAILABLE, Connect, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe
from iot_core.sas import without_secrets
from iot_core.topics import Telemetry, parse_device_topic, parse_username
from local_hub.auth.authenticator import NEVER, Principal
from local_hub.controls.faults import CutError, FaultKind, LostError
from local_hub.fronts.mqtt_link import MqttLink
from local_hub.fronts.mqtt_provisioning import ProvisioningMqtt, is_provisioning
from local_hub.fronts.mqtt_sessions import MqttSessions, SessionKey
from local_hub.fronts.mqtt_telemetry import checked_message, with_property
from local_hub.hub import Hub
from transport.mqtt_server import MqttServerProtocol, ServerLimits

__all__ = ["MqttFront"]

_LONGEST_ID = 257
"""Of a client id that may be one: device/module. What is longer only pretends."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True, eq=False)
class _Client:
    """A connection that has logged in."""

    link: MqttLink
    session: SessionKey
    keeps_session: bool
    will: Message | None
    principal: Principal
    model_id: str | None
    expiry: asyncio.TimerHandle | None = None


class MqttFront:
    """The handler of every MQTT connection; connections come from ``protocol()``, also those over WebSocket."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sessions = MqttSessions(hub.store)
        self._provisioning = ProvisioningMqtt(hub)
        self._limits = ServerLimits(max_keep_alive_seconds=MQTT_KEEP_ALIVE_MAX_S)
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._forget_tokens = hub.token_clock.watch(self._tokens_aged)

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        return MqttServerProtocol(self, self._limits)

    async def stop(self) -> None:
        """End every connection; returns once what they had published is taken."""
        self._forget_tokens()
        clients = list(self._clients)
        for client in clients:
            client.will = None
            client.link.close("the hub stops")
        for client in clients:
            await client.link.drained()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._provisioning.stop()

    # -- the handler that transport.mqtt_server calls

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        """Log a client in, or refuse it with return code 5 and say why in the log."""
        if is_provisioning(packet):
            connection.hand_to(self._provisioning, packet)
            return
        if self._hub.admission.idle:
            self._let_in(connection, packet)
        else:
            self._spawn(self._admit(connection, packet))

    async def _admit(self, connection: MqttServerProtocol, packet: Connect) -> None:
        """Let a client in where faults and throttles do; one that is lost is never answered."""
        try:
            await self._hub.admission.admit_login(packet.client_id.partition("/")[0])
        except LostError:
            _log.info("%s: connection lost by a fault", without_secrets(packet.client_id))
        except CutError as error:
            connection.close(str(error))
        except HubError as error:
            throttled = error.status == HTTPStatus.TOO_MANY_REQUESTS
            self._refuse(connection, packet, error, SERVER_UNAVAILABLE if throttled else NOT_AUTHORIZED)
        else:
            self._let_in(connection, packet)

    def _refuse(self, connection: MqttServerProtocol, packet: Connect, error: EdgeyardError, code: int) -> None:
        who, why = without_secrets(packet.client_id[:_LONGEST_ID]), without_secrets(str(error))
        _log.info("%s: connection refused: %s", who, why)
        self._hub.traffic_log.note("MQTT", who, "in", "CONNECT", 0, f"refused: {why}")
        connection.refuse(code)

    def _let_in(self, connection: MqttServerProtocol, packet: Connect) -> None:
        try:
            client = self._log_in(connection, packet)
        except EdgeyardError as error:
            self._refuse(connection, packet, error, NOT_AUTHORIZED)
            return
        if client.model_id is None:
            self._restore(connection, client)
        else:
            self._spawn(self._announce_model(connection, client, client.model_id))

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        if client := _client_of(connection):
            client.link.receive(packets)

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        """Grant filters with at most QoS 1; a filter that is not the device's ends the connection."""
        if client := _client_of(connection):
            granted = {name: min(qos, 1) for name, qos in packet.filters}
            try:
                client.link.subscribe(granted)
            except MessageError as error:
                client.link.close(str(error))
                return
            codes = tuple(granted[name] for name, _ in packet.filters)
            self._keep_then_send(connection, client, SubAck(packet_id=packet.packet_id, codes=codes))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        if client := _client_of(connection):
            client.link.unsubscribe(list(packet.filters))
            self._keep_then_send(connection, client, UnsubAck(packet_id=packet.packet_id))

    def on_puback(self, connection: MqttServerProtocol, packet_id: int) -> None:
        if client := _client_of(connection):
            client.link.acknowledged(packet_id)

    def on_disconnect(self, connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        client = _client_of(connection)
        if client is None:
            return
        connection.session = None
        self._clients.discard(client)
        if client.expiry is not None:
            client.expiry.cancel()
        client.link.ended()
        if client.will is not None and not clean:
            self._spawn(self._hub.messaging.telemetry(client.link.identity, client.will, client.principal))

    # -- log-in

    def _log_in(self, connection: MqttServerProtocol, connect: Connect) -> _Client:
        """InputError or HubError when the client may not come in."""
        info = parse_username(connect.username or "")
        password = (connect.password or b"").decode("utf-8", "replace")
        principal = self._hub.auth.mqtt_login(info, connect.client_id, password, connection.peer_chain_der)
        return _Client(
            link=MqttLink(self._hub, connection, info.identity, principal),
            session=SessionKey(identity=info.identity, generation_id=principal.generation_id),
            keeps_session=not connect.clean_session,
            will=_will(connect, info.identity),
            principal=principal,
            model_id=info.model_id,
        )

    async def _announce_model(self, connection: MqttServerProtocol, client: _Client, model_id: str) -> None:
        """Let the client in once its model is in the twin, where services look for it from then on."""
        await self._hub.twins.announce_model(client.link.identity, model_id)
        self._restore(connection, client)

    def _restore(self, connection: MqttServerProtocol, client: _Client) -> None:
        """Attach the link, bring its subscriptions back and tell the client."""
        stored = self._sessions.find(client.session) if client.keeps_session else None
        if stored:
            client.link.subscribe(stored)
        connection.accept(session_present=stored is not None)
        if not connection.is_open:
            return
        connection.session = client
        self._clients.add(client)
        self._hub.sessions.attach(client.link.identity, client.link)
        self._hub.traffic_log.note("MQTT", client.link.identity.path, "in", "CONNECT", 0, "accepted")
        self._take_over(client.link.identity)
        client.link.deliver()
        self._cut_at_expiry(client)
        if not client.keeps_session:
            self._spawn(self._sessions.forget(client.session))
        elif stored is None:
            self._spawn(self._sessions.save(client.session, {}))

    def _take_over(self, identity: Identity) -> None:
        """Play the second client of an identity, where a fault wants one."""
        faults = self._hub.admission.faults
        if faults.active and faults.strikes(FaultKind.TAKEOVER, identity.device_id):
            self._hub.sessions.take_over(identity)

    def _tokens_aged(self) -> None:
        for client in self._clients:
            self._cut_at_expiry(client)

    def _cut_at_expiry(self, client: _Client) -> None:
        if client.principal.expires_at == NEVER:
            return
        if client.expiry is not None:
            client.expiry.cancel()
        remaining = max(client.principal.expires_at - self._hub.token_clock.now(), 0.0)
        loop = asyncio.get_running_loop()
        client.expiry = loop.call_later(remaining, client.link.close, "its token has expired")

    # -- sessions and other work that outlasts a callback

    def _keep_then_send(self, connection: MqttServerProtocol, client: _Client, answer: SubAck | UnsubAck) -> None:
        self._spawn(self._keep(connection, client, answer, dict(client.link.filters)))

    async def _keep(
        self, connection: MqttServerProtocol, client: _Client, answer: SubAck | UnsubAck, filters: dict[str, int]
    ) -> None:
        """Acknowledge once the session is on disk: the client will rely on it after a reconnect."""
        if client.keeps_session:
            await self._sessions.save(client.session, filters)
        connection.send(answer)
        client.link.deliver()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _client_of(connection: MqttServerProtocol) -> _Client | None:
    client = connection.session
    return client if isinstance(client, _Client) else None


def _will(connect: Connect, identity: Identity) -> Message | None:
    """The message of a client's will; MessageError when IoT Hub would not take it as telemetry of this identity."""
    if connect.will is None:
        return None
    topic = parse_device_topic(connect.will.topic)
    if not isinstance(topic, Telemetry) or topic.identity != identity or connect.will.qos > 1:
        raise MessageError("a will must be telemetry of the device that connects, with QoS 0 or 1")
    message = checked_message(topic, connect.will.payload, retain=connect.will.retain)
    return with_property(message, "iothub-MessageType", "Will")


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (HubError, InputError) as error:
        _log.info("not done: %s", error)
    except EdgeyardError:
        _log.exception("background work failed")
