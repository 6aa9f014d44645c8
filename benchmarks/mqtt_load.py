"""A load generator for MQTT brokers, in a process of its own: QoS 1 over TLS, a fixed number of messages in flight.

    python -m benchmarks.mqtt_load < LOAD.json

LOAD.json holds the fields of ``Load``; the outcome is one JSON object on standard output, the fields of ``Outcome``.
It is as cheap as can be, so that the broker is what is measured: each connection has its PUBLISH packets ready, one for
each packet id, and sends one again when its PUBACK has come.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from iot_core.mqtt import Connect, Publish, Subscribe, encode

__all__ = ["Load", "Login", "Outcome"]

PUBACK_BYTES = 4
PUBACK_TYPE = 0x40
CONNACK_BYTES = 4
AT_ONCE = 50
"""Handshakes at a time."""
LOGIN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Login:
    """How one connection logs in and what it publishes to."""

    client_id: str
    username: str
    password: str
    topic: str


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send to whom; with ``in_flight`` 0 nothing is sent: the connections stand until standard input ends."""

    host: str
    port: int
    ca_file: str
    logins: Sequence[Login]
    in_flight: int
    filters: Sequence[str] = ()
    """To subscribe to; the session is then a lasting one."""
    payload_bytes: int = 256
    warm_up_s: float = 1.0
    seconds: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Acknowledged messages a second, and the share of a core that the generator took itself."""

    per_second: float
    own_cpu: float


class Sender(asyncio.Protocol):
    """One connection: logs in, then keeps its packets in flight until ``finish``."""

    def __init__(self, login: Login, load: Load) -> None:
        self._login = login
        self._filters = load.filters
        publish = [
            Publish(topic=login.topic, payload=bytes(load.payload_bytes), qos=1, packet_id=number)
            for number in range(1, load.in_flight + 1)
        ]
        self._packets = [b"", *map(encode, publish)]
        self._rest = b""
        self._sending = False
        self.acknowledged = 0
        self.logged_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connect = Connect(
            client_id=self._login.client_id,
            clean_session=not self._filters,
            keep_alive=600,
            username=self._login.username,
            password=self._login.password.encode(),
        )
        self._transport.write(encode(connect))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.logged_in.done():
            self._welcome(data)
            return
        whole = len(data) - len(data) % PUBACK_BYTES
        self._rest = data[whole:]
        again = []
        for start in range(0, whole, PUBACK_BYTES):
            if data[start] != PUBACK_TYPE:
                raise ValueError(f"expected PUBACK, got packet type {data[start]:#x}")
            again.append(self._packets[data[start + 2] << 8 | data[start + 3]])
        self.acknowledged += len(again)
        if self._sending:
            self._transport.write(b"".join(again))

    def _welcome(self, data: bytes) -> None:
        """CONNACK, and SUBACK where filters were asked for."""
        self._rest = data
        suback_bytes = 4 + len(self._filters) if self._filters else 0
        if data[3:4] > b"\0":
            self.logged_in.set_exception(ConnectionRefusedError(f"return code {data[3]}"))
        elif len(data) == CONNACK_BYTES and self._filters:
            filters = tuple((name, 1) for name in self._filters)
            self._transport.write(encode(Subscribe(packet_id=1, filters=filters)))
        elif len(data) >= CONNACK_BYTES + suback_bytes:
            self._rest = data[CONNACK_BYTES + suback_bytes :]
            self.logged_in.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.logged_in.done():
            self.logged_in.set_exception(exc or ConnectionResetError("hung up before CONNACK"))
        self.lost.set_exception(exc or ConnectionResetError("the broker hung up"))

    def start(self) -> None:
        self._sending = True
        self._transport.write(b"".join(self._packets))

    def finish(self) -> None:
        self._sending = False


async def connect_all(load: Load) -> list[Sender]:
    context = ssl.create_default_context(cafile=load.ca_file)
    context.check_hostname = False
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(login: Login) -> Sender:
        async with gate:
            loop = asyncio.get_running_loop()
            _, sender = await loop.create_connection(lambda: Sender(login, load), load.host, load.port, ssl=context)
            await asyncio.wait_for(sender.logged_in, LOGIN_S)
            return sender

    return list(await asyncio.gather(*map(connect, load.logins)))


async def run(load: Load) -> Outcome:
    """Send for the time asked; ConnectionError when a connection ends meanwhile."""
    senders = await connect_all(load)
    for sender in senders:
        sender.start()
    await _standing(senders, load.warm_up_s)
    before, started, cpu = sum(sender.acknowledged for sender in senders), time.perf_counter(), time.process_time()
    await _standing(senders, load.seconds)
    after, ended, cpu_after = sum(sender.acknowledged for sender in senders), time.perf_counter(), time.process_time()
    for sender in senders:
        sender.finish()
    took = ended - started
    return Outcome(per_second=(after - before) / took, own_cpu=(cpu_after - cpu) / took)


async def _standing(senders: Sequence[Sender], seconds: float) -> None:
    done, _ = await asyncio.wait(
        [sender.lost for sender in senders], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
    )
    for lost in done:
        lost.result()


async def hold(load: Load) -> None:
    """Connect, say so, and stand still until standard input ends."""
    senders = await connect_all(load)
    print(json.dumps({"connected": len(senders)}), flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended, *(sender.lost for sender in senders)], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        raise ConnectionResetError("the broker hung up on an idle connection")


def main() -> None:
    fields = json.loads(sys.stdin.readline())
    load = Load(**{**fields, "logins": [Login(**login) for login in fields["logins"]]})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if load.in_flight:
            print(json.dumps(asdict(runner.run(run(load)))), flush=True)
        else:
            runner.run(hold(load))


if __name__ == "__main__":
    main()
