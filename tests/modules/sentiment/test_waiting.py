"""What waits on disk: durable, bounded, the oldest first, and never lost in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iot_core.message import Message
from modules.sentiment.intake import NoRoomError
from modules.sentiment.waiting import FILE_NAME, WaitingText, WaitingTexts

AWAY = 100_000


def numbered(*numbers: int) -> list[Message]:
    return [Message(str(number).encode(), {"n": None}, {"messageId": "m"}) for number in numbers]


def bodies(texts: list[WaitingText]) -> list[int]:
    return [int(text.message.body) for text in texts]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_texts_leave_in_the_order_they_came_and_only_once(tmp_path: Path) -> None:
    waiting = WaitingTexts.open(tmp_path)
    await waiting.put(numbered(*range(5)))
    first, second = await waiting.take(3, 1 << 20), await waiting.take(3, 1 << 20)
    assert (bodies(first), bodies(second)) == ([0, 1, 2], [3, 4])
    assert (waiting.count, waiting.available) == (5, 0)
    await waiting.remove(second)
    assert (waiting.count, waiting.available) == (3, 0)
    await waiting.close()


async def test_what_was_not_removed_is_there_at_the_next_start(tmp_path: Path) -> None:
    waiting = WaitingTexts.open(tmp_path)
    await waiting.put(numbered(1, 2, 3))
    await waiting.remove(await waiting.take(1, 1 << 20))
    await waiting.take(1, 1 << 20)
    await waiting.close()
    again = WaitingTexts.open(tmp_path)
    assert again.count == 2
    texts = await again.take(10, 1 << 20)
    assert bodies(texts) == [2, 3]
    assert texts[0].message == numbered(2)[0]
    await again.close()


async def test_no_more_bytes_are_taken_than_asked_for_but_one_text_at_least(tmp_path: Path) -> None:
    waiting = WaitingTexts.open(tmp_path)
    await waiting.put(numbered(1, 2, 3))
    size = waiting.size // 3
    assert bodies(await waiting.take(3, 2 * size)) == [1, 2]
    assert bodies(await waiting.take(3, 1)) == [3]
    await waiting.close()


async def test_texts_come_and_go_at_the_same_time(tmp_path: Path) -> None:
    waiting = WaitingTexts.open(tmp_path)

    async def come() -> None:
        for number in range(50):
            await waiting.put(numbered(number))

    async def go() -> int:
        gone = 0
        while gone < 250:
            await waiting.until(lambda: waiting.available > 0)
            taken = await waiting.take(7, 1 << 20)
            await waiting.remove(taken)
            gone += len(taken)
        return gone

    *_, gone = await asyncio.gather(*(come() for _ in range(5)), go())
    assert (gone, waiting.count, waiting.size) == (250, 0, 0)
    await waiting.close()


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    await WaitingTexts.open(tmp_path / "spool").close()
    assert (mode(tmp_path / "spool"), mode(tmp_path / "spool" / FILE_NAME)) == (0o700, 0o600)


async def test_texts_that_wait_at_a_stop_are_scored_after_the_next_start(container: Any, module: Any) -> None:
    container.answers = [web.Response(status=503) for _ in range(AWAY)]
    async with module() as running:
        await running.say([{"text": "good"}, {"text": "bad"}])
        await running.client.until(lambda: running.client.reported.get("queued") == 2)
        assert running.client.sent == []
    container.answers = []
    async with module() as running:
        sent = await running.sent(2)
        assert [properties["sentiment"] for _, _, properties in sent] == ["positive", "negative"]
        await running.client.until(lambda: running.client.reported.get("queued") == 0)


async def test_when_full_messages_stay_with_the_edge_hub(container: Any, module: Any) -> None:
    container.answers = [web.Response(status=503) for _ in range(AWAY)]
    async with module(maxWaiting=3, room_s=0.01) as running:
        await running.say([{"text": "good"} for _ in range(3)])
        with pytest.raises(NoRoomError, match="stays with the edge hub"):
            await running.say({"text": "bad"})
        await running.client.until(lambda: running.client.reported.get("counts", {}).get("held") == 1)
        assert running.client.reported["queued"] == 3


async def test_a_message_is_taken_as_soon_as_there_is_room(container: Any, module: Any) -> None:
    container.held = "good"
    async with module(maxWaiting=1) as running:
        await running.say({"text": "good"})
        await running.client.until(lambda: running.client.reported.get("queued") == 1)
        container.release.set()
        await running.say({"text": "bad"})
        assert [body["text"] for _, body, _ in await running.sent(2)] == ["good", "bad"]


async def test_when_full_the_oldest_can_make_room_and_are_reported(container: Any, module: Any) -> None:
    container.answers = [web.Response(status=503) for _ in range(AWAY)]
    settings = {"whenFull": "dropOldest", "maxWaiting": 5, "maxBatch": 1, "parallelBatches": 1, "breakerFailures": 1}
    async with module(**settings, breakerPause=3600) as running:
        await running.say([{"text": f"old {number}"} for number in range(5)])
        await running.client.until(lambda: running.client.reported.get("breaker") == "open")
        await running.say({"text": "new"})
        [(output, body, properties)] = await running.sent(1)
        assert (output, body["text"], properties["sentimentError"]) == ("errors", "old 1", "Dropped")
        await running.client.until(lambda: running.client.reported.get("counts", {}).get("dropped") == 1)
        assert running.client.reported["queued"] == 5
