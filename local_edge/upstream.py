"""The MQTT connection of one module identity to the hub, kept up for as long as it is wanted.

    IDLE --open--> CONNECTING --connected--> UP --lost--> DOWN --pause--> CONNECTING …
                       |                      |
                       +--refused--> DOWN     +--token nearly old--> CONNECTING (nothing in flight is lost)

Pauses double from FIRST_PAUSE_S to LAST_PAUSE_S with jitter. Delivery is at least once: `publish` returns after the
hub's PUBACK; when it raises, the message may have arrived all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Any, Protocol

from iot_core import sas, topics
from iot_core.clock import Clock
from iot_core.errors import EdgeyardError, MessageError
from iot_core.identity import Identity
from iot_core.mqtt import Publish
from local_edge.config import EdgeConfig
from local_edge.errors import TwinRefusedError, UpstreamError
from transport.mqtt_client import MqttClient
from transport.waiting import until_time

__all__ = ["LinkListener", "LinkState", "UpstreamLink"]

TOKEN_LIFETIME_S = 3600
RENEW_BEFORE_S = 300
"""A new token is used this long before the old one ends; the hub cuts connections whose token is over."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 60.0
CALL_TIMEOUT_S = 20.0
"""Twin calls, as the edge hub's CloudOperationTimeoutSecs."""
SEND_TIMEOUT_S = 30.0
TOO_MANY_REQUESTS = 429
KEEP_ALIVE_S = 60

_log = logging.getLogger(__name__)


class LinkState(Enum):
    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


class LinkListener(Protocol):
    """Who hears from the link; called in the event loop."""

    def link_up(self) -> None:
        """The hub is there, from the first time and again after every loss."""

    def desired_patch(self, patch: dict[str, Any]) -> None:
        """A desired patch with its $version."""

    async def method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        """A direct method call; the answer's status and payload."""
        ...


class UpstreamLink:
    """See the module; `key` gives the identity's present key."""

    def __init__(
        self,
        identity: Identity,
        *,
        config: EdgeConfig,
        key: Callable[[], str | None],
        clock: Clock,
        tls: ssl.SSLContext,
        listener: LinkListener,
    ) -> None:
        self._identity = identity
        self._config = config
        self._key = key
        self._clock = clock
        self._tls = tls
        self._listener = listener
        self._state = LinkState.IDLE
        self._up = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._client: MqttClient | None = None
        self._lost = asyncio.Event()
        self._expiry = 0
        self._methods = False
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._requests: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        return self._state is LinkState.UP

    def open(self) -> None:
        """Want the connection; it comes up by itself."""
        if self._task is None:
            self._enter(LinkState.CONNECTING)
            self._task = asyncio.create_task(self._run(), name=f"upstream {self._identity}")

    async def close(self) -> None:
        """Want it no more."""
        task, self._task = self._task, None
        leaving = self._leave(LinkState.IDLE)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await leaving

    async def up(self) -> None:
        """Wait until the hub is there."""
        await self._up.wait()

    async def settled(self) -> None:
        """Wait until the attempt being made has worked or failed."""
        await self._settled.wait()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send with QoS 1 and wait for the PUBACK; UpstreamError when the hub is away or goes away."""
        client = self._client
        if client is None or not self.is_up:
            raise UpstreamError(f"{self._identity}: no connection to {self._config.hub_host}")
        try:
            with self._flying():
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await client.publish(topic, payload, qos=1)
        except (EdgeyardError, OSError, TimeoutError) as error:
            raise UpstreamError(f"{self._identity}: not acknowledged by the hub: {error}") from None

    async def get_twin(self) -> dict[str, Any]:
        """{"desired": {…, "$version"}, "reported": {…, "$version"}}; UpstreamError when the hub cannot be asked."""
        status, body = await self._request(topics.twin_get, b"")
        if status != 200:
            raise UpstreamError(f"{self._identity}: the twin was answered with status {status}")
        twin: dict[str, Any] = json.loads(body)
        return twin

    async def patch_reported(self, patch: dict[str, Any]) -> int:
        """Merge into the reported properties; the hub's new version (0 when it gave none).

        TwinRefusedError when the hub says that the patch breaks its rules, UpstreamError when it cannot be asked.
        """
        status, body = await self._request(topics.twin_patch_reported, json.dumps(patch).encode())
        if status == 204:
            return int(body or b"0")
        text = f"{self._identity}: the reported patch was answered {status} {body.decode('utf-8', 'replace')[:300]}"
        if 400 <= status < 500 and status != TOO_MANY_REQUESTS:
            raise TwinRefusedError(text)
        raise UpstreamError(text)

    async def accept_methods(self, wanted: bool) -> None:
        """Let the hub call methods, or not; remembered over reconnects."""
        if wanted == self._methods:
            return
        self._methods = wanted
        client = self._client
        if client is None or not self.is_up:
            return
        with contextlib.suppress(EdgeyardError, OSError):
            await _set_methods(client, wanted)

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._enter(LinkState.CONNECTING)
            try:
                await self._connect()
            except (EdgeyardError, OSError, TimeoutError) as error:
                _log.info("%s: %s cannot be reached: %s", self._identity, self._config.hub_host, error)
                await self._leave(LinkState.DOWN)
                await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))
                pause_s = min(pause_s * 2, LAST_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            await self._stay()

    async def _connect(self) -> None:
        key = self._key()
        if key is None:
            raise UpstreamError("it has no key yet")
        self._expiry = int(self._clock.now()) + TOKEN_LIFETIME_S
        self._lost = lost = asyncio.Event()
        client = MqttClient(on_message=self._received, on_disconnect=lambda _: lost.set())
        await client.connect(
            self._config.hub_host,
            self._config.upstream_mqtt_port,
            client_id=self._identity.path,
            username=topics.username(self._config.hub_host, self._identity, client_type="edgeyard"),
            password=sas.sign(self._identity.resource(self._config.hub_host), key, self._expiry),
            ssl=self._tls,
            clean_session=True,
            keep_alive=KEEP_ALIVE_S,
        )
        try:
            await client.subscribe(topics.TWIN_RESPONSES_FILTER, topics.DESIRED_FILTER)
            methods = False
            while methods != self._methods:  # it may change while the hub is being asked
                methods = self._methods
                await _set_methods(client, methods)
        except BaseException:
            client.abort()
            raise
        self._client = client
        self._enter(LinkState.UP)
        self._listener.link_up()

    async def _stay(self) -> None:
        """Return when the connection is lost, or left in good order because its token grows old."""
        lost = asyncio.ensure_future(self._lost.wait())
        grown_old = asyncio.ensure_future(until_time(self._clock, self._expiry - RENEW_BEFORE_S))
        try:
            await asyncio.wait({lost, grown_old}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            grown_old.cancel()
        if self._lost.is_set():
            await self._leave(LinkState.DOWN)
            return
        self._enter(LinkState.CONNECTING)
        await self._drain()
        await self._leave(LinkState.CONNECTING)

    async def _drain(self) -> None:
        """Give what is in flight the time to be answered before a planned reconnect."""
        waiting = {asyncio.ensure_future(self._quiet.wait()), asyncio.ensure_future(self._lost.wait())}
        _, late = await asyncio.wait(waiting, timeout=SEND_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()

    @contextlib.contextmanager
    def _flying(self) -> Iterator[None]:
        """Counts what still waits for the hub."""
        self._in_flight += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()

    def _enter(self, state: LinkState) -> None:
        self._state = state
        for event, holds in ((self._up, state is LinkState.UP), (self._settled, state is not LinkState.CONNECTING)):
            if holds:
                event.set()
            else:
                event.clear()

    def _leave(self, state: LinkState) -> Awaitable[None]:
        """Change the state now; the connection at hand is closed when the result is awaited."""
        client, self._client = self._client, None
        self._enter(state)
        for request in self._requests.values():
            if not request.done():
                request.set_exception(UpstreamError(f"{self._identity}: the connection to the hub was lost"))
        return _closed(client)

    async def _request(self, topic_of: Callable[[str], str], payload: bytes) -> tuple[int, bytes]:
        request_id = str(next(self._numbers))
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._requests[request_id] = future
        try:
            with self._flying():
                await self.publish(topic_of(request_id), payload)
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    return await future
        except TimeoutError:
            raise UpstreamError(f"{self._identity}: no answer from the hub in {CALL_TIMEOUT_S:.0f} s") from None
        finally:
            del self._requests[request_id]

    def _received(self, message: Publish) -> None:
        payload = message.payload
        try:
            parsed = topics.parse_hub_topic(message.topic)
        except MessageError as error:
            _log.warning("%s: %s", self._identity, error)
            return
        match parsed:
            case topics.TwinResponse(status=status, request_id=request_id, version=version):
                self._answered(request_id, status, payload if status != 204 else str(version or 0).encode())
            case topics.DesiredPatch(version=version):
                self._listener.desired_patch({**json.loads(payload), "$version": version})
            case topics.MethodRequest(name=name, request_id=request_id):
                task = asyncio.create_task(self._answer_method(name, request_id, payload))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)

    def _answered(self, request_id: str, status: int, body: bytes) -> None:
        future = self._requests.get(request_id)
        if future is not None and not future.done():
            future.set_result((status, body))

    async def _answer_method(self, name: str, request_id: str, payload: bytes) -> None:
        try:
            status, answer = await self._listener.method(name, payload)
            await self.publish(topics.method_response(status, request_id), answer)
        except EdgeyardError as error:
            _log.warning("%s: method %s is not answered: %s", self._identity, name, error)


async def _set_methods(client: MqttClient, wanted: bool) -> None:
    change = client.subscribe if wanted else client.unsubscribe
    await change(topics.METHODS_FILTER)


async def _closed(client: MqttClient | None) -> None:
    if client is not None:
        with contextlib.suppress(EdgeyardError, OSError):
            await client.close()
