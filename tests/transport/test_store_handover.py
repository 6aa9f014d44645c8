from __future__ import annotations

import asyncio
import time

import pytest

from transport import store_handover
from transport.store_handover import Handover


class Worker:
    """Work that is done after so many looks, moving on at each or not at all."""

    def __init__(self, looks: int, *, moves: bool) -> None:
        self._left = looks
        self._moves = moves
        self._progress = 0

    @property
    def has_work(self) -> bool:
        self._left -= 1
        return self._left >= 0

    @property
    def progress(self) -> int:
        self._progress += self._moves
        return self._progress


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the loop rested, each time."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


async def watched(worker: Worker) -> None:
    """Returns when the handover has stopped watching."""
    handover = Handover(worker)
    loop = asyncio.get_running_loop()
    handover.watch(loop)
    handover.watch(loop)
    done = loop.create_future()

    def check() -> None:
        if handover.watching:
            loop.call_later(store_handover.PATIENCE_S, check)
        else:
            done.set_result(None)

    check()
    await done


async def test_the_loop_rests_while_the_writer_does_not_come_on(rests: list[float]) -> None:
    await watched(Worker(5, moves=False))
    assert rests == [store_handover.GIVE_WAY_S] * 5


async def test_the_loop_does_not_rest_while_the_writer_comes_on_by_itself(rests: list[float]) -> None:
    await watched(Worker(5, moves=True))
    assert rests == []


async def test_it_stops_when_the_work_is_done(rests: list[float]) -> None:
    await watched(Worker(0, moves=False))
    assert rests == []
