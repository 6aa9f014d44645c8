"""A load generator for the hub over AMQP, in a process of its own: telemetry over TLS, so many transfers in flight.

    python -m benchmarks.amqp_load < LOAD.json

LOAD.json holds the fields of ``AmqpLoad``; the outcome is one JSON object on standard output, the fields of
``benchmarks.mqtt_load.Outcome``, counted in messages. Payloads are encoded once.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop

from benchmarks.mqtt_load import Outcome
from iot_core.amqp import BATCH_FORMAT, Accepted, ClientSasl, Data, Message, Properties, encode_message
from transport.amqp_client import AmqpClient, AmqpSender

__all__ = ["AmqpLoad", "AmqpLogin"]


@dataclass(frozen=True, kw_only=True)
class AmqpLogin:
    """How one connection logs in and where it sends to."""

    audience: str
    token: str
    address: str


@dataclass(frozen=True, kw_only=True)
class AmqpLoad:
    """What to send to whom; ``batch`` 1: each message is a transfer of its own."""

    host: str
    port: int
    ca_file: str
    logins: Sequence[AmqpLogin]
    in_flight: int
    batch: int
    payload_bytes: int = 256
    warm_up_s: float = 1.0
    seconds: float = 4.0


class Counter:
    """Messages that were accepted."""

    accepted = 0


def transfer(load: AmqpLoad) -> tuple[bytes, int]:
    """The payload of a transfer and its format."""
    message = Message(
        properties=Properties(content_type="application/json", content_encoding="utf-8"),
        application_properties={"site": "b1"},
        body=Data((bytes(load.payload_bytes),)),
    )
    if load.batch == 1:
        return encode_message(message), 0
    return encode_message(Message(body=Data((encode_message(message),) * load.batch))), BATCH_FORMAT


async def connect(load: AmqpLoad, login: AmqpLogin) -> tuple[AmqpClient, AmqpSender]:
    context = ssl.create_default_context(cafile=load.ca_file)
    client = await AmqpClient.connect(load.host, load.port, context, sasl=ClientSasl(mechanism="MSSBCBS"))
    await client.put_token(login.audience, login.token)
    return client, await client.sender(login.address)


async def send_on(sender: AmqpSender, payload: bytes, message_format: int, batch: int, counter: Counter) -> None:
    while True:
        state = await sender.send_encoded(payload, message_format=message_format)
        if not isinstance(state, Accepted):
            raise RuntimeError(f"the hub answered {state}")
        counter.accepted += batch


async def run(load: AmqpLoad) -> Outcome:
    """Send for the time asked; RuntimeError when the hub does not accept."""
    counter, (payload, message_format) = Counter(), transfer(load)
    clients = [await connect(load, login) for login in load.logins]
    tasks = [
        asyncio.create_task(send_on(sender, payload, message_format, load.batch, counter))
        for _, sender in clients
        for _ in range(load.in_flight)
    ]
    await _sending(tasks, load.warm_up_s)
    before, started, cpu = counter.accepted, time.perf_counter(), time.process_time()
    await _sending(tasks, load.seconds)
    after, took, cpu_after = counter.accepted, time.perf_counter() - started, time.process_time()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client, _ in clients:
        await client.close()
    return Outcome(per_second=(after - before) / took, own_cpu=(cpu_after - cpu) / took)


async def _sending(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()


def main() -> None:
    fields = json.loads(sys.stdin.readline())
    load = AmqpLoad(**{**fields, "logins": [AmqpLogin(**login) for login in fields["logins"]]})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(run(load)))), flush=True)


if __name__ == "__main__":
    main()
