"""One connected device or module over MQTT: what it publishes goes to the core, what the core wants goes to it.

Every publish starts its work at once and is acknowledged after its effect is on disk. What IoT Hub
does not take (QoS 2, a foreign or unknown topic or filter, more than 256 KB) ends the connection
(IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol").
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import orjson

from iot_core.errors import EdgeyardError, HubError, MessageError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.mqtt import Publish
from iot_core.sas import without_secrets
from iot_core.topics import (
    MethodResponse,
    Subscription,
    Telemetry,
    TwinGet,
    TwinPatch,
    desired_patch,
    method_request,
    parse_device_topic,
    parse_subscription,
    twin_response,
)
from local_hub.auth.authenticator import Principal
from local_hub.fronts.envelopes import Envelope, error_body
from local_hub.fronts.mqtt_devicebound import Devicebound
from local_hub.fronts.mqtt_gate import Gate
from local_hub.fronts.mqtt_telemetry import TelemetrySenders
from local_hub.hub import Hub
from local_hub.intake import Sender
from local_hub.sessions import LinkClosedError
from transport.mqtt_server import MqttServerProtocol

__all__ = ["MqttLink"]

_Work: TypeAlias = Coroutine[Any, Any, Publish | None]

MOST_UNCONFIRMED = 1000
"""Publishes of QoS 0 of one device that may wait for the disk; more are dropped, as QoS 0 allows. With QoS 1 the
connection itself stops reading."""

TELEMETRY = "telemetry"
"""What the traffic log calls it."""

_log = logging.getLogger(__name__)


class MqttLink:
    """A ``local_hub.sessions.DeviceLink`` on one MQTT connection that has logged in."""

    def __init__(self, hub: Hub, connection: MqttServerProtocol, identity: Identity, principal: Principal) -> None:
        self.identity = identity
        self.filters: dict[str, int] = {}
        self._hub = hub
        self._connection = connection
        self._principal = principal
        self._work: set[asyncio.Task[None]] = set()
        self._granted: dict[Subscription, int] = {}
        self._calls: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._request_ids = itertools.count(1)
        self._packet_ids = itertools.cycle(range(1, 65_536))
        self._devicebound = Devicebound(hub.c2d, self._send, identity, self._next_packet_id)
        self._gate: Gate | None = None
        self._log = hub.traffic_log.recorder("MQTT", identity)
        self._senders = TelemetrySenders(hub.messaging, identity, principal)
        self._unconfirmed = 0
        self._closed = False

    # -- the core's side

    @property
    def accepts_methods(self) -> bool:
        return Subscription.METHODS in self._granted

    def push_desired(self, patch: JsonObject) -> None:
        version = patch["$version"]
        if isinstance(version, int):
            self._send_if_subscribed(Subscription.DESIRED, desired_patch(version), orjson.dumps(patch))

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        if self._closed:
            raise LinkClosedError(f"{self.identity} has disconnected")
        request_id = f"{next(self._request_ids):x}"
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._calls[request_id] = answer
        try:
            self._send(Publish(topic=method_request(name, request_id), payload=payload, qos=0))
            return await answer
        finally:
            del self._calls[request_id]

    def close(self, reason: str) -> None:
        """End the connection; from now on nobody finds the link or waits on it."""
        if not self._closed:
            reason = without_secrets(reason)
            _log.info("%s: connection closed: %s", self.identity, reason)
            self._log.note("out", "connection closed", 0, reason)
            self.ended()
            self._connection.close(reason)

    # -- the connection's side

    def ended(self) -> None:
        """The connection is over: calls that wait for the device fail, work that has begun goes on."""
        self._closed = True
        self._hub.sessions.detach(self.identity, self)
        self._devicebound.stop()
        if self._gate is not None:
            self._gate.stop()
        for call in self._calls.values():
            if not call.done():
                call.set_exception(LinkClosedError(f"{self.identity} disconnected before it answered"))

    def subscribe(self, filters: Mapping[str, int]) -> None:
        """Grant filters, each with its QoS (0 or 1); MessageError for one that is not the device's."""
        granted = {name: parse_subscription(name, self.identity) for name in filters}
        self.filters.update(filters)
        self._granted.update({granted[name]: qos for name, qos in filters.items()})

    def unsubscribe(self, filters: list[str]) -> None:
        """Take filters back; unknown ones are passed over."""
        for name in filters:
            self.filters.pop(name, None)
        self._granted = {parse_subscription(name, self.identity): qos for name, qos in self.filters.items()}
        if Subscription.DEVICEBOUND not in self._granted:
            self._devicebound.pause()

    def deliver(self) -> None:
        """Bring cloud-to-device messages, those that wait first, when the device has asked for them."""
        qos = self._granted.get(Subscription.DEVICEBOUND)
        if qos is not None and not self._closed:
            self._devicebound.start(qos)

    def acknowledged(self, packet_id: int) -> None:
        """A PUBACK came. Desired patches are not repeated, so theirs say nothing."""
        self._devicebound.acknowledged(packet_id)

    def receive(self, publishes: Sequence[Publish]) -> None:
        """Take what came in one read, or have it wait its turn where faults and throttles stand."""
        if self._hub.admission.idle and (self._gate is None or self._gate.is_empty):
            sender = self._senders.known(publishes)
            if sender is not None and not self._closed:
                self._send_on(publishes, sender)
                return
            for publish in publishes:
                self.take(publish)
            return
        if self._gate is None:
            self._gate = Gate(self._hub.admission, self)
        for publish in publishes:
            self._gate.put(publish)

    def take(self, publish: Publish) -> None:
        """Take one publish now; ends the connection for what IoT Hub does not take."""
        if self._closed:
            return
        self._hub.sessions.touch(self.identity)
        try:
            work = self._dispatch(publish)
        except MessageError as error:
            self.close(str(error))
            return
        if work is not None:
            task = asyncio.create_task(self._finish(publish, work))
            self._work.add(task)
            task.add_done_callback(self._work.discard)

    def lose(self, publish: Publish) -> None:
        """Act as if a publish had never come."""
        self._log.note("in", _kind_of(publish), len(publish.payload), "lost")
        if publish.qos:
            self._connection.forget(publish.packet_id)

    def refuse(self, publish: Publish, error: HubError) -> None:
        """Answer a twin request with the status of a refusal; MQTT has no such answer to anything else."""
        self._log.note("in", _kind_of(publish), len(publish.payload), error.name)
        topic = parse_device_topic(publish.topic)
        if not isinstance(topic, TwinGet | TwinPatch):
            self.close(str(error))
            return
        self._acknowledge(publish)
        if Subscription.TWIN_RESPONSES in self._granted:
            self._connection.send(self._refusal(topic, error))

    async def drained(self) -> None:
        """Wait until the core has taken everything that was published."""
        await asyncio.gather(*self._work)
        await self._hub.messaging.drained()

    # -- what each topic means

    def _dispatch(self, publish: Publish) -> _Work | None:
        """The work that a publish asks for; None when it is done. MessageError for what IoT Hub does not take."""
        if publish.qos > 1:
            raise MessageError("QoS 2 is not supported: publish with QoS 0 or 1")
        topic = parse_device_topic(publish.topic)
        if isinstance(topic, MethodResponse):
            self._method_answered(topic, publish.payload)
            self._acknowledge(publish)
            self._log.note("in", _kind_of(publish), len(publish.payload), "taken")
            return None
        if publish.qos == 0 and len(self._work) + self._unconfirmed >= MOST_UNCONFIRMED:
            _log.warning("%s: publishes faster than the disk takes it: QoS 0, so dropped", self.identity)
            return None
        if isinstance(topic, Telemetry):
            self._send_on((publish,), self._senders.read(topic, publish))
            return None
        return self._twin(topic, publish.payload)

    async def _finish(self, publish: Publish, work: _Work) -> None:
        """Acknowledge a publish when its effect is on disk; without that, the device sends it again once it is back."""
        try:
            answer = await work
        except EdgeyardError as error:
            self.close(f"a publish was not taken: {error}")
        except Exception:
            _log.exception("%s: a publish failed", self.identity)
            self.close("the hub failed on a publish")
        else:
            self._acknowledge(publish)
            self._log.note("in", _kind_of(publish), len(publish.payload), "taken")
            if answer is not None:
                self._connection.send(answer)

    def _acknowledge(self, publish: Publish) -> None:
        if publish.qos:
            self._connection.ack(publish.packet_id)

    def _send_on(self, publishes: Sequence[Publish], sender: Sender) -> None:
        """Give telemetry to the core; without a task of its own, as it is most of what comes."""
        self._unconfirmed += len(publishes)
        bodies = [publish.payload for publish in publishes]
        try:
            self._hub.messaging.take([(sender, bodies)], partial(self._sent_on, publishes))
        except EdgeyardError as error:
            self._sent_on(publishes, error)

    def _sent_on(self, publishes: Sequence[Publish], error: BaseException | None) -> None:
        self._unconfirmed -= len(publishes)
        if error is not None:
            self.close(f"a publish was not taken: {error}")
            return
        self._connection.ack(*[publish.packet_id for publish in publishes])
        size = sum([len(publish.payload) for publish in publishes])
        self._log.note("in", TELEMETRY, size, "taken", count=len(publishes))

    async def _twin(self, topic: TwinGet | TwinPatch, payload: bytes) -> Publish | None:
        """The answer to a twin request, refusals too, with their status and reason; None when nobody listens for it."""
        try:
            answer = self._twin_got(topic) if isinstance(topic, TwinGet) else await self._twin_patched(topic, payload)
        except HubError as error:
            answer = self._refusal(topic, error)
        return answer if Subscription.TWIN_RESPONSES in self._granted else None

    def _refusal(self, topic: TwinGet | TwinPatch, error: HubError) -> Publish:
        body = error_body(error, Envelope.PLAIN, self._hub.clock.now())
        return Publish(topic=twin_response(error.status, topic.request_id), payload=body)

    def _twin_got(self, topic: TwinGet) -> Publish:
        view = self._hub.twins.device_view(self.identity)
        return Publish(topic=twin_response(200, topic.request_id), payload=orjson.dumps(view))

    async def _twin_patched(self, topic: TwinPatch, payload: bytes) -> Publish:
        version = await self._hub.twins.patch_reported(self.identity, _json_object(payload), topic.base_version)
        return Publish(topic=twin_response(204, topic.request_id, version))

    def _method_answered(self, topic: MethodResponse, payload: bytes) -> None:
        call = self._calls.get(topic.request_id)
        if call is not None and not call.done():
            call.set_result((topic.status, payload))

    # -- what leaves

    def _send_if_subscribed(self, subscription: Subscription, topic: str, payload: bytes) -> None:
        qos = self._granted.get(subscription)
        if qos is None or self._closed:
            return
        packet_id = self._next_packet_id() if qos else 0
        self._send(Publish(topic=topic, payload=payload, qos=qos, packet_id=packet_id))

    def _send(self, publish: Publish) -> None:
        """Send what the hub sends of its own accord; faults may delay it or let it vanish."""
        leaves = self._hub.admission.faults.let_go(self.identity.device_id, partial(self._connection.send, publish))
        self._log.note("out", _kind_of(publish), len(publish.payload), "sent" if leaves else "lost")

    def _next_packet_id(self) -> int:
        return next(number for number in self._packet_ids if not self._devicebound.uses(number))


def _kind_of(publish: Publish) -> str:
    """What the traffic log calls a publish: the part of its topic that does not change from one to the next."""
    topic = publish.topic
    if topic.startswith("devices/"):
        return "cloud-to-device message" if "/messages/devicebound/" in topic else TELEMETRY
    return topic.partition("?")[0].rstrip("/")


def _json_object(payload: bytes) -> JsonObject:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise hub_error("IotHubFormatError", f"The patch is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise hub_error("ArgumentInvalid", "The patch must be a JSON object.")
    return value
