"""An export: every identity with its twin, one a line, and configurations when they are asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import islice

import orjson

from iot_core.json_types import JsonObject
from local_hub.configurations.configurations import Configurations
from local_hub.rows import Record, key, scan
from local_hub.transfer.blob_lines import LineWriter
from local_hub.transfer.container import Container
from local_hub.transfer.lines import WITHOUT_KEYS, configuration_line, device_line
from local_hub.transfer.order import Order
from transport.store import Store

__all__ = ["export"]

PAGE = 1000
"""Identities read at once."""
Progress = Callable[[int], Awaitable[None]]
"""Told the percentage that is done."""


async def export(
    order: Order, container: Container, store: Store, configurations: Configurations, progress: Progress
) -> None:
    """Write the blobs; ContainerError, StoreError. Each page of identities is as it was when it was read."""
    writer = LineWriter(container, order.target_blob)
    if order.exclude_keys:
        await writer.write(WITHOUT_KEYS)
    total, written = store.read(_count), 0
    async for page in _pages(store):
        for record in page:
            await writer.write(orjson.dumps(device_line(record, keys=not order.exclude_keys)))
        written += len(page)
        await progress(min(99, 100 * written // max(total, 1)))
    await writer.close()
    if order.with_configurations:
        await _export_configurations(LineWriter(container, order.configurations_blob), await configurations.list())


async def _export_configurations(writer: LineWriter, documents: list[JsonObject]) -> None:
    for document in documents:
        await writer.write(orjson.dumps(configuration_line(document)))
    await writer.close()


async def _pages(store: Store) -> AsyncIterator[list[Record]]:
    """All identities by id, each device before its modules."""
    after = ("", "")
    while True:
        page = await store.aread(partial(_page, after=after))
        if not page:
            return
        yield page
        after = key(page[-1].identity)


def _page(connection: sqlite3.Connection, after: tuple[str, str]) -> list[Record]:
    return list(islice(scan(connection, "(device_id, module_id) > (?, ?)", after), PAGE))


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM identities").fetchone()[0])
