"""The engine with its journal on a real disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from device.errors import ConnectionLostError, HubRefusedError
from iot_core.clock import ManualClock
from iot_core.errors import StoreError
from iot_core.message import Message
from modules.aggregator.aggregator import Aggregator
from modules.aggregator.sender import Sender
from modules.aggregator.settings import AggregatorSettings, Definition
from modules.common import delivery

DEFINITION = {
    "window": {"type": "tumbling", "size": 10},
    "timestamp": {"path": "$body.t"},
    "aggregates": {"sum": {"function": "sum", "of": "$body.v"}},
    "outOfOrderness": 0,
    "idleTimeout": 5,
}
SETTINGS = AggregatorSettings(definitions={"one": Definition.model_validate(DEFINITION)})


class Hub:
    """Keeps what is sent; raises what is in `failures` first, and waits while `open` is not set."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.ids: list[str | None] = []
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: Message, _output: str) -> None:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(orjson.loads(message.body))
        self.ids.append(message.system.get("messageId"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.001)


@asynccontextmanager
async def working(folder: Path, hub: Hub, *, configured: bool = True, **options: Any) -> AsyncIterator[Aggregator]:
    aggregator = Aggregator.open(folder, clock=options.pop("clock", None) or ManualClock(100.0), **options)
    aggregator.start()
    sender = Sender(aggregator.outbox, hub.send, aggregator.acknowledged)
    sending = asyncio.create_task(sender.run())
    if configured:
        await aggregator.configure(SETTINGS)
    yield aggregator
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await aggregator.close()


async def take(aggregator: Aggregator, *times: float) -> None:
    await asyncio.gather(*(aggregator.take(Message(orjson.dumps({"t": time, "v": 1}))) for time in times))


async def until_sent(aggregator: Aggregator) -> None:
    while len(aggregator.outbox):
        await asyncio.sleep(0)


async def test_open_windows_go_on_after_a_restart(tmp_path: Path) -> None:
    hub = Hub()
    async with working(tmp_path, hub) as aggregator:
        await take(aggregator, 1, 2)
    async with working(tmp_path, hub) as aggregator:
        await take(aggregator, 3, 10)
        await until_sent(aggregator)
    assert [(r["values"]["sum"], r["revision"]) for r in hub.sent] == [(3, 0)]


async def test_results_that_were_sent_are_not_sent_again(tmp_path: Path) -> None:
    hub = Hub()
    for _ in range(3):
        async with working(tmp_path, hub) as aggregator:
            await take(aggregator, 1, 10)
            await until_sent(aggregator)
    assert len(hub.ids) == len(set(hub.ids))


async def test_results_that_could_not_be_sent_are_sent_after_the_restart(tmp_path: Path) -> None:
    away, hub = Hub(), Hub()
    away.open.clear()
    async with working(tmp_path, away) as aggregator:
        await take(aggregator, 1, 10)
    async with working(tmp_path, hub) as aggregator:
        await until_sent(aggregator)
    assert (away.sent, [r["values"]["sum"] for r in hub.sent]) == ([], [1])


async def test_a_lost_connection_is_tried_again_with_the_same_id(tmp_path: Path) -> None:
    hub = Hub()
    hub.failures = [ConnectionLostError("gone"), ConnectionLostError("gone")]
    async with working(tmp_path, hub) as aggregator:
        await take(aggregator, 1, 10)
        await until_sent(aggregator)
    assert [r["id"] for r in hub.sent] == hub.ids


async def test_a_result_that_the_edge_hub_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    hub = Hub()
    hub.failures = [HubRefusedError("too large")]
    async with working(tmp_path, hub) as aggregator:
        await take(aggregator, 1, 10, 20)
        await until_sent(aggregator)
    assert len(hub.sent) == 1


async def test_messages_wait_until_definitions_are_known(tmp_path: Path) -> None:
    hub = Hub()
    async with working(tmp_path, hub, configured=False) as aggregator:
        taking = asyncio.create_task(take(aggregator, 1, 10))
        await asyncio.sleep(0)
        assert not taking.done()
        await aggregator.configure(SETTINGS)
        await taking
        await until_sent(aggregator)
    assert len(hub.sent) == 1


async def test_definitions_are_known_after_a_restart_without_a_hub(tmp_path: Path) -> None:
    async with working(tmp_path, Hub()):
        pass
    async with working(tmp_path, Hub(), configured=False) as aggregator:
        await take(aggregator, 1)
        assert list(aggregator.in_force()["definitions"]) == ["one"]


async def test_while_the_edge_hub_is_away_memory_is_bounded_and_messages_wait(tmp_path: Path) -> None:
    hub = Hub()
    hub.open.clear()
    async with working(tmp_path, hub) as aggregator:
        aggregator.outbox._max_bytes = 500
        await take(aggregator, 1, 10, 20, 30)
        assert not aggregator.outbox.has_room
        waiting = asyncio.create_task(take(aggregator, 40))
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.open.set()
        await waiting
        await until_sent(aggregator)
    assert len(hub.sent) == 4


async def test_snapshots_keep_the_journal_short(tmp_path: Path) -> None:
    async with working(tmp_path, Hub(), snapshot_bytes=1_000) as aggregator:
        for time in range(600):
            await take(aggregator, time)
        kept = aggregator._archive._store.read(
            lambda connection: connection.execute("SELECT SUM(count) FROM segments").fetchone()[0]
        )
        assert kept < 150


async def test_silence_closes_windows_and_is_in_the_journal(tmp_path: Path) -> None:
    clock, hub = ManualClock(100.0), Hub()
    async with working(tmp_path, hub, clock=clock) as aggregator:
        await take(aggregator, 1)
        clock.advance(60)
        await aggregator.pass_silence(since=0)
        await until_sent(aggregator)
        again = hub.ids.copy()
    async with working(tmp_path, hub, clock=clock) as aggregator:
        await aggregator.pass_silence(since=0)
        await until_sent(aggregator)
    assert len(again) == 1
    assert hub.ids == again


async def test_a_disk_that_refuses_refuses_the_message_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(tmp_path, Hub()) as aggregator:

        async def full(*_: Any) -> int:
            raise StoreError("disk full; nothing of this write was kept")

        with monkeypatch.context() as patched:
            patched.setattr(aggregator._archive, "append", full)
            with pytest.raises(StoreError):
                await take(aggregator, 1)
            assert aggregator.problem
        await take(aggregator, 1)
        assert aggregator.problem is None
        assert aggregator.engine.intake.messages == 1
