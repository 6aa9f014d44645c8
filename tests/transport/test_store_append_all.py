from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from iot_core.errors import StoreError
from transport.store import Appended, Store
from transport.store_segments import MAX_RECORD_BYTES


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "s.db", schema=())


def records(stream: str, *texts: bytes) -> Appended:
    return Appended(stream=stream, records=texts, stamp=1.0)


async def appended(store: Store, *appends: Appended) -> BaseException | None:
    """What ``done`` is told."""
    told: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    store.append_all(appends, told.set_result)
    return await told


async def test_all_streams_are_there_once_done_is_told(store: Store) -> None:
    assert await appended(store, records("a", b"1", b"2"), records("b", b"3"), records("a", b"4")) is None
    assert list(store.records("a")) == [b"1", b"2", b"4"]
    assert list(store.records("b")) == [b"3"]
    await store.close()


async def test_done_is_told_in_the_order_of_the_writes(store: Store) -> None:
    order: list[int] = []
    store.append_all([records("a", b"1")], lambda _error: order.append(1))
    second = store.append("a", [b"2"], after=lambda _number: order.append(2))
    await asyncio.gather(second, appended(store, records("a", b"3")))
    assert order == [1, 2]
    assert list(store.records("a")) == [b"1", b"2", b"3"]
    await store.close()


async def test_nothing_of_a_record_that_is_too_long_is_kept(store: Store) -> None:
    with pytest.raises(StoreError, match="longer than"):
        store.append_all([records("a", b"1"), records("b", bytes(MAX_RECORD_BYTES + 1))], print)
    assert list(store.records("a")) == []
    await store.close()


async def test_a_closed_store_refuses_at_once(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append_all([records("a", b"1")], print)


async def test_done_is_told_why_a_group_failed(store: Store) -> None:
    await store.write(lambda connection: connection.execute("DROP TABLE segments"))
    assert isinstance(await appended(store, records("a", b"1")), StoreError)
    await store.close()
