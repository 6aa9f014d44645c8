"""The MQTT endpoint for modules: log-in, subscriptions, and what each published topic means.

Topics and rules: IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol", with the edge hub's own: a
message is acknowledged once it is stored, a reported patch is answered without a version.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError, InputError, MessageError
from iot_core.limits import DEVICE_TO_CLOUD_BYTES, MQTT_SUBSCRIPTIONS
from iot_core.message import Message
from iot_core.mqtt import NOT_AUTHORIZED, Connect, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe
from iot_core.topics import (
    MethodResponse,
    Subscription,
    Telemetry,
    TwinGet,
    TwinPatch,
    parse_device_topic,
    parse_subscription,
    parse_username,
    twin_response,
)
from local_edge.edgehub.clients import Clients, ModuleClient
from local_edge.edgehub.login import LoginRefusedError, LoginRules
from local_edge.edgehub.subscriptions import SubscriptionStore
from transport.mqtt_server import MqttServerProtocol

__all__ = ["EdgeHubFront", "ModuleTraffic"]

_log = logging.getLogger(__name__)


class ModuleTraffic(Protocol):
    """What the edge hub does with what modules send."""

    def module_changed(self, module: str) -> None:
        """A module connected, disconnected or changed its subscriptions."""

    async def telemetry(self, module: str, message: Message) -> None:
        """Return once the message is stored for everyone who shall have it."""

    async def twin(self, module: str) -> dict[str, Any]:
        """The twin: {"desired": {…}, "reported": {…}}."""
        ...

    async def reported(self, module: str, patch: dict[str, Any]) -> None:
        """Return once the patch is stored; TwinError when it breaks the rules."""


@dataclass(kw_only=True, eq=False)
class _Session:
    client: ModuleClient
    keeps: bool
    expiry: asyncio.TimerHandle


class EdgeHubFront:
    """The `transport.mqtt_server.Handler` of every connection."""

    def __init__(
        self,
        *,
        login: LoginRules,
        clients: Clients,
        subscriptions: SubscriptionStore,
        traffic: ModuleTraffic,
        clock: Clock,
    ) -> None:
        self._login = login
        self._clients = clients
        self._subscriptions = subscriptions
        self._traffic = traffic
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """The protocol of one connection."""
        return MqttServerProtocol(self)

    async def stop(self) -> None:
        """End every connection once what it published is stored."""
        for client in self._clients.all:
            client.close("the edge stops")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        try:
            session = self._log_in(connection, packet)
        except (LoginRefusedError, InputError) as error:
            _log.warning("connection of %r refused: %s", packet.client_id[:200], error)
            connection.refuse(NOT_AUTHORIZED)
            return
        connection.session = session
        connection.accept(session_present=bool(session.client.filters))
        previous = self._clients.attach(session.client)
        if previous is not None:
            previous.close("another connection of this module took over")
        self._traffic.module_changed(session.client.module)

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        for packet in packets:
            if client := self._client(connection):
                self._take(connection, client, packet)

    def _take(self, connection: MqttServerProtocol, client: ModuleClient, packet: Publish) -> None:
        try:
            work = self._meaning(client, packet)
        except MessageError as error:
            _log.warning("module %s is disconnected: %s", client.module, error)
            connection.close(str(error))
            return
        self._spawn(self._then_acknowledge(connection, packet, work))

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        client = self._client(connection)
        if client is None:
            return
        try:
            granted = {name: parse_subscription(name, client.identity) for name, _ in packet.filters}
            if len(client.filters.keys() | granted.keys()) > MQTT_SUBSCRIPTIONS:
                raise MessageError(f"more than {MQTT_SUBSCRIPTIONS} subscriptions")
        except MessageError as error:
            _log.warning("module %s is disconnected: %s", client.module, error)
            connection.close(str(error))
            return
        client.filters.update(granted)
        codes = tuple(min(qos, 1) for _, qos in packet.filters)
        self._spawn(self._keep_session(connection, SubAck(packet_id=packet.packet_id, codes=codes)))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        client = self._client(connection)
        if client is not None:
            for name in packet.filters:
                client.filters.pop(name, None)
            self._spawn(self._keep_session(connection, UnsubAck(packet_id=packet.packet_id)))

    def on_puback(self, connection: MqttServerProtocol, packet_id: int) -> None:
        client = self._client(connection)
        if client is not None:
            client.acknowledged(packet_id)

    def on_disconnect(self, connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        session: _Session | None = connection.session
        if session is None:
            return
        session.expiry.cancel()
        session.client.gone()
        if self._clients.detach(session.client):
            _log.info("module %s disconnected: %s", session.client.module, reason)
            self._traffic.module_changed(session.client.module)

    def _log_in(self, connection: MqttServerProtocol, packet: Connect) -> _Session:
        """LoginRefusedError or InputError when the client may not come in."""
        info = parse_username(packet.username or "")
        if packet.client_id != info.identity.path:
            raise LoginRefusedError(f"its client id is not that of its user name, {info.identity.path!r}")
        login = self._login.check(info.identity, (packet.password or b"").decode("utf-8", "replace"))
        kept = frozenset() if packet.clean_session else self._subscriptions.get(packet.client_id)
        filters = {name: parse_subscription(name, info.identity) for name in kept}
        remaining_s = max(login.expires_at - self._clock.now(), 0.0)
        expiry = asyncio.get_running_loop().call_later(remaining_s, connection.close, "its token is over")
        client = ModuleClient(info.identity, connection, filters)
        return _Session(client=client, keeps=not packet.clean_session, expiry=expiry)

    def _meaning(self, client: ModuleClient, packet: Publish) -> Coroutine[Any, Any, None]:
        """The work that a publish asks for; MessageError for what the edge hub does not take."""
        if packet.qos > 1:
            raise MessageError("QoS 2 is not supported; publish with QoS 0 or 1")
        match parse_device_topic(packet.topic):
            case Telemetry() as topic:
                return self._traffic.telemetry(client.module, _message(client, topic, packet.payload))
            case TwinGet(request_id=request_id):
                return self._twin_get(client, request_id)
            case TwinPatch(request_id=request_id):
                return self._twin_patch(client, request_id, packet.payload)
            case MethodResponse(status=status, request_id=request_id):
                client.answered(request_id, status, packet.payload)
                return _nothing()

    async def _twin_get(self, client: ModuleClient, request_id: str) -> None:
        twin = await self._traffic.twin(client.module)
        _answer(client, 200, request_id, json.dumps(twin).encode())

    async def _twin_patch(self, client: ModuleClient, request_id: str, payload: bytes) -> None:
        try:
            await self._traffic.reported(client.module, _json_object(payload))
        except InputError as error:
            _answer(client, 400, request_id, json.dumps({"message": str(error)}).encode())
            return
        _answer(client, 204, request_id, b"")

    async def _then_acknowledge(
        self, connection: MqttServerProtocol, packet: Publish, work: Coroutine[Any, Any, None]
    ) -> None:
        """Without an acknowledgement the module sends again, once it is back."""
        try:
            await work
        except EdgeyardError as error:
            _log.error("a publish was not taken: %s", error)
            connection.close(f"a publish was not taken: {error}")
            return
        if packet.qos:
            connection.ack(packet.packet_id)

    async def _keep_session(self, connection: MqttServerProtocol, answer: SubAck | UnsubAck) -> None:
        session: _Session = connection.session
        if session.keeps:
            await self._subscriptions.put(session.client.identity.path, session.client.filters)
        connection.send(answer)
        self._clients.refresh(session.client.module)
        self._traffic.module_changed(session.client.module)

    def _client(self, connection: MqttServerProtocol) -> ModuleClient | None:
        session: _Session | None = connection.session
        return session.client if session is not None and connection.is_open else None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _message(client: ModuleClient, topic: Telemetry, payload: bytes) -> Message:
    if topic.identity != client.identity:
        raise MessageError(f"{client.identity} published as {topic.identity}; a connection speaks for one identity")
    message = topic.message(payload)
    if message.size > DEVICE_TO_CLOUD_BYTES:
        raise MessageError(f"a message of {message.size} bytes is too large; {DEVICE_TO_CLOUD_BYTES} are allowed")
    return message


def _answer(client: ModuleClient, status: int, request_id: str, body: bytes) -> None:
    if client.subscribed(Subscription.TWIN_RESPONSES):
        client.send(Publish(topic=twin_response(status, request_id), payload=body))


def _json_object(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError:
        raise MessageError("the reported patch is not JSON") from None
    if not isinstance(value, dict):
        raise MessageError("the reported patch is not a JSON object")
    return value


async def _nothing() -> None:
    """A publish that needs no work beyond its acknowledgement."""
