"""The client's side of AMQP 1.0 for asyncio: links as objects, on the kernel's own engine.

async with await AmqpClient.connect("localhost", 5671, tls) as client:
    await client.put_token("localhost", token)
    sender = await client.sender("/messages/devicebound")
    state = await sender.send(message)
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import uuid
from collections import deque
from types import TracebackType
from typing import Any, cast

from iot_core.amqp import (
    AmqpValue,
    AmqpViolation,
    ClientSasl,
    Connection,
    ConnectionClosed,
    ConnectionOpened,
    Delivery,
    DeliveryReceived,
    DeliveryState,
    DeliveryUpdated,
    ErrorCondition,
    Event,
    Link,
    LinkAttached,
    LinkDetached,
    LinkFlow,
    Message,
    Properties,
    Receiver,
    SaslOutcomeReceived,
    Sender,
    Session,
    SessionBegun,
    Settings,
    Source,
    Target,
    encode_message,
)
from iot_core.errors import RemoteProtocolError
from transport.tls import open_tls_connection

__all__ = ["AmqpClient", "AmqpError", "AmqpReceiver", "AmqpSender"]

ATTACH_SECONDS = 30.0
"""How long the server may take to answer."""
SAS_TYPE = "servicebus.windows.net:sastoken"


class AmqpError(RemoteProtocolError):
    """The server ended a connection or link, or refused a message or request; ``condition`` says why."""

    def __init__(self, message: str, *, condition: str, info: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.condition = condition
        self.info = info or {}


class AmqpSender:
    """A link that messages leave on."""

    def __init__(self, client: AmqpClient, link: Sender) -> None:
        self._client = client
        self.link = link
        self._credit = asyncio.Event()
        self._sent: dict[Delivery, asyncio.Future[DeliveryState | None]] = {}

    async def send(self, message: Message, *, message_format: int = 0) -> DeliveryState | None:
        """Send a message and wait for its outcome; None when it left settled. AmqpError when the link ends first."""
        return await self.send_encoded(encode_message(message), message_format=message_format)

    async def send_encoded(self, payload: bytes, *, message_format: int = 0) -> DeliveryState | None:
        """The same for a message that is bytes already."""
        while not self.link.can_send:
            self._client.check(self.link)
            self._credit.clear()
            await self._credit.wait()
        delivery = self.link.send(payload, message_format=message_format)
        self._client.flush()
        if delivery.is_settled:
            return None
        outcome: asyncio.Future[DeliveryState | None] = asyncio.get_running_loop().create_future()
        self._sent[delivery] = outcome
        return await outcome

    async def detach(self) -> None:
        """End the link."""
        self.link.send_detach()
        self._client.flush()

    def wake(self) -> None:
        self._credit.set()

    def updated(self, delivery: Delivery) -> None:
        waiting = self._sent.pop(delivery, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(delivery.state)
        self.link.settle(delivery)

    def ended(self, error: AmqpError) -> None:
        self._credit.set()
        for waiting in self._sent.values():
            if not waiting.done():
                waiting.set_exception(error)


class AmqpReceiver:
    """A link that messages come on; iterate over its deliveries."""

    def __init__(self, client: AmqpClient, link: Receiver) -> None:
        self._client = client
        self.link = link
        self._arrived: deque[Delivery] = deque()
        self._change = asyncio.Event()

    def __aiter__(self) -> AmqpReceiver:
        return self

    async def __anext__(self) -> Delivery:
        return await self.receive()

    async def receive(self) -> Delivery:
        """The next delivery, to be settled. AmqpError when the link has ended."""
        while not self._arrived:
            self._client.check(self.link)
            self._change.clear()
            await self._change.wait()
        return self._arrived.popleft()

    def settle(self, delivery: Delivery, state: DeliveryState) -> None:
        """Give a delivery its outcome."""
        self.link.settle(delivery, state)
        self._client.flush()

    async def detach(self) -> None:
        """End the link."""
        self.link.send_detach()
        self._client.flush()

    def delivered(self, delivery: Delivery) -> None:
        self._arrived.append(delivery)
        self._change.set()

    def ended(self, _error: AmqpError) -> None:
        self._change.set()


class AmqpClient(asyncio.Protocol):
    """A connection with one session; `connect` makes it."""

    def __init__(self, settings: Settings) -> None:
        self._engine = Connection(settings, is_server=False)
        self._ends: dict[Link, AmqpSender | AmqpReceiver] = {}
        self._attaching: dict[Link, asyncio.Future[None]] = {}
        self._errors: dict[Link, AmqpError] = {}
        self._error: AmqpError | None = None
        self._names = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        hostname: str | None = None,
        sasl: ClientSasl | None = None,
        max_message_size: int = 1024 * 1024,
    ) -> AmqpClient:
        """Connect and open; without ``tls`` in the clear, without ``sasl`` with the bare AMQP header.

        OSError, TlsError, and AmqpError when the server refuses.
        """
        settings = Settings(
            container_id=f"edgeyard-{uuid.uuid4()}",
            hostname=hostname or host,
            client_sasl=sasl,
            max_message_size=max_message_size,
        )
        if tls is None:
            _, client = await asyncio.get_running_loop().create_connection(lambda: cls(settings), host, port)
        else:
            _, client = await open_tls_connection(lambda: cls(settings), host, port, tls)
        try:
            async with asyncio.timeout(ATTACH_SECONDS):
                await client._opened
        except BaseException:
            client._transport.abort()
            raise
        return client

    async def __aenter__(self) -> AmqpClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def sender(self, address: str, **attach: Any) -> AmqpSender:
        """A link to an address. AmqpError when it is refused."""
        name = f"sender-{next(self._names)}"
        link = self._session.attach_sender(name, target=Target(address=address), source=Source(), **attach)
        end = AmqpSender(self, link)
        await self._attached(link, end)
        return end

    async def receiver(
        self,
        address: str,
        *,
        credit: int = 100,
        filter: dict[Any, Any] | None = None,
        target: str | None = None,
        **attach: Any,
    ) -> AmqpReceiver:
        """A link from an address, with that much credit all the time. AmqpError when it is refused."""
        name = f"receiver-{next(self._names)}"
        link = self._session.attach_receiver(
            name, source=Source(address=address, filter=filter), target=Target(address=target), **attach
        )
        end = AmqpReceiver(self, link)
        await self._attached(link, end)
        if credit:
            link.keep_credit(credit)
        self.flush()
        return end

    async def put_token(self, audience: str, token: str) -> None:
        """Claims-based security: put a token on the connection. AmqpError when it is refused."""
        request = Message(
            application_properties={"operation": "put-token", "type": SAS_TYPE, "name": audience},
            body=AmqpValue(token),
        )
        await self.request("$cbs", request)

    async def request(self, address: str, request: Message) -> Message:
        """Ask a node that answers requests. AmqpError when the answer has a status from 300 on."""
        reply_to = f"answers-{uuid.uuid4()}"
        receiver = await self.receiver(address, target=reply_to)
        sender = await self.sender(address)
        properties = Properties(message_id=str(uuid.uuid4()), reply_to=reply_to)
        await sender.send(
            Message(properties=properties, application_properties=request.application_properties, body=request.body)
        )
        delivery = await receiver.receive()
        receiver.link.settle(delivery)
        await sender.detach()
        await receiver.detach()
        answer = delivery.message()
        fields = answer.application_properties or {}
        if int(fields.get("status-code", 0)) not in range(200, 300):
            text = f"{address} answers {fields.get('status-code')}: {fields.get('status-description')}"
            raise AmqpError(text, condition=str(fields.get("errorCondition", "")))
        return answer

    async def close(self) -> None:
        """Close and wait until the server has hung up."""
        self._engine.send_close()
        self.flush()
        await asyncio.wait({self._lost}, timeout=ATTACH_SECONDS)
        self._transport.abort()

    def flush(self) -> None:
        """Send what waits."""
        data = self._engine.data_to_send(asyncio.get_running_loop().time())
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._engine.should_hang_up:
            self._transport.close()

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._error is not None

    def check(self, link: Link) -> None:
        """AmqpError when the link or the connection is over."""
        if error := self._errors.get(link) or self._error:
            raise error

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._engine.receive_data(b"", self._loop.time())
        if self._engine.settings.client_sasl is None:
            self._engine.send_open()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._engine.receive_data(data, self._loop.time())
        try:
            for event in self._engine.events():
                self._take(event)
        except AmqpViolation as violation:
            self._fail(AmqpError(str(violation), condition=violation.condition))
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fail(AmqpError(f"the connection is lost: {exc or 'the server hung up'}", condition=""))
        for event in self._engine.lost():
            self._take(event)
        if not self._lost.done():
            self._lost.set_result(None)

    # Events.

    def _take(self, event: Event) -> None:
        if isinstance(event, SaslOutcomeReceived):
            self._logged_in(event)
        elif isinstance(event, ConnectionOpened):
            self._session: Session = self._engine.begin_session()
            self._tick()
        elif isinstance(event, SessionBegun):
            if not self._opened.done():
                self._opened.set_result(None)
        elif isinstance(event, LinkAttached):
            self._answered(event)
        elif isinstance(event, LinkDetached):
            self._detached(event)
        elif isinstance(event, ConnectionClosed):
            self._fail(_error(event.error, "the server closed the connection"))
        else:
            self._of_link(event)

    def _of_link(self, event: Event) -> None:
        end = self._ends.get(getattr(event, "link", None))  # type: ignore[arg-type]
        if isinstance(event, DeliveryReceived) and isinstance(end, AmqpReceiver):
            end.delivered(event.delivery)
        elif isinstance(event, DeliveryUpdated) and isinstance(end, AmqpSender):
            end.updated(event.delivery)
        elif isinstance(event, LinkFlow) and isinstance(end, AmqpSender):
            end.wake()

    def _logged_in(self, event: SaslOutcomeReceived) -> None:
        if event.is_accepted:
            self._engine.send_open()
        else:
            self._fail(AmqpError("the server refused the log-in", condition="amqp:unauthorized-access"))

    async def _attached(self, link: Link, end: AmqpSender | AmqpReceiver) -> None:
        self._ends[link] = end
        self._attaching[link] = answered = self._loop.create_future()
        self.flush()
        async with asyncio.timeout(ATTACH_SECONDS):
            await answered

    def _answered(self, event: LinkAttached) -> None:
        """The server lets a link in; one that it refuses is answered without its terminus, and detached next."""
        theirs = event.attach.target if isinstance(event.link, Sender) else event.attach.source
        answered = self._attaching.get(event.link)
        if theirs is not None and answered is not None and not answered.done():
            answered.set_result(None)

    def _detached(self, event: LinkDetached) -> None:
        error = self._error
        if error is None or event.error is not None:
            error = _error(event.error, f"the server detached link {event.link.name}")
        self._errors[event.link] = error
        answered = self._attaching.pop(event.link, None)
        if answered is not None and not answered.done():
            answered.set_exception(error)
        if end := self._ends.pop(event.link, None):
            end.ended(error)

    def _fail(self, error: AmqpError) -> None:
        self._error = self._error or error
        for waiting in (self._opened, *self._attaching.values()):
            if not waiting.done():
                waiting.set_exception(self._error)
        for end in self._ends.values():
            end.ended(self._error)

    def _tick(self) -> None:
        """Heartbeats, and the end of a server that has gone silent."""
        now = self._loop.time()
        again = self._engine.tick(now)
        self.flush()
        if again is not None:
            self._timer = self._loop.call_later(max(0.0, again - now), self._tick)


def _error(error: ErrorCondition | None, default: str) -> AmqpError:
    if error is None:
        return AmqpError(default, condition="")
    return AmqpError(error.description or default, condition=error.condition, info=dict(error.info or {}))
