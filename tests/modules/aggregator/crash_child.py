"""A process to be killed: takes numbered messages from standard input, says what is acknowledged and what was sent."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from device.logs import configure_logs
from iot_core.message import Message
from modules.aggregator.aggregator import Aggregator
from modules.aggregator.sender import Sender
from modules.aggregator.settings import AggregatorSettings, Definition

IN_FLIGHT = 20  # Messages that an edge hub delivers before the first is acknowledged.
DEFINITION = {
    "window": {"type": "tumbling", "size": 10},
    "groupBy": {"m": "$body.m"},
    "timestamp": {"path": "$body.t"},
    "aggregates": {"sum": {"function": "sum", "of": "$body.v"}},
    "outOfOrderness": 0,
    "allowedLateness": 100_000,
}


def say(kind: str, content: object) -> None:
    print(json.dumps([kind, content]), flush=True)


async def send(message: Message, _output: str) -> None:
    say("sent", json.loads(message.body))
    await asyncio.sleep(0.02)  # As long as an edge hub takes to acknowledge: some are killed in between.


async def main(folder: str) -> None:
    aggregator = Aggregator.open(Path(folder), snapshot_bytes=4_000)
    sender = Sender(aggregator.outbox, send, aggregator.acknowledged)
    aggregator.start()
    sending = asyncio.create_task(sender.run())
    await aggregator.configure(AggregatorSettings(definitions={"one": Definition.model_validate(DEFINITION)}))

    slots = asyncio.Semaphore(IN_FLIGHT)

    async def take(line: bytes) -> None:
        number = json.loads(line)["n"]
        await aggregator.take(Message(line, {}, {"messageId": f"m{number}"}))
        say("ack", number)
        slots.release()

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        await slots.acquire()
        tasks.add(asyncio.create_task(take(line)))
    await asyncio.gather(*tasks)
    while len(aggregator.outbox):
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await aggregator.close()


configure_logs()
asyncio.run(main(sys.argv[1]))
