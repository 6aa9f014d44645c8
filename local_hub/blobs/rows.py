"""Containers, blobs and blocks as rows. Every function runs inside a ``store.write`` or a ``store.read``.

Those that let go of files return their names: nothing refers to them once the transaction is on disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iot_core.storage.refusals import refused
from local_hub.json_text import dump, load

__all__ = [
    "Blob",
    "Block",
    "Container",
    "Part",
    "blob_of",
    "blob_parts",
    "chosen_parts",
    "commit_blob",
    "container_of",
    "create_container",
    "delete_blob",
    "delete_container",
    "drop_old_blocks",
    "files_in_use",
    "find_blob",
    "find_container",
    "need_container",
    "set_blob",
    "set_container_metadata",
    "stage_block",
    "staged_blocks",
    "staged_summary",
]

_EPOCH_TICKS = 621_355_968_000_000_000
"""1970 in units of 100 ns since the year 1, which etags are made of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """A container; ``modified`` in unix seconds."""

    name: str
    etag: str
    modified: float
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """A blob without its content; times in unix seconds, ``properties`` by the headers that carry them."""

    id: int
    container: str
    name: str
    etag: str
    created: float
    modified: float
    size: int
    properties: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of content: a file of ``size`` bytes."""

    file: str
    size: int
    block: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A block id with where it is looked for: "Committed", "Uncommitted" or "Latest"."""

    id: str
    source: str


def find_container(connection: sqlite3.Connection, name: str) -> Container | None:
    row = connection.execute("SELECT name, etag, modified, metadata FROM blob_containers WHERE name = ?", (name,))
    found = row.fetchone()
    return container_of(found) if found else None


def container_of(row: Sequence[Any]) -> Container:
    """From the columns name, etag, modified and metadata."""
    name, etag, modified, metadata = row
    return Container(name=name, etag=f"0x{etag:X}", modified=modified, metadata=load(metadata))


def need_container(connection: sqlite3.Connection, name: str) -> Container:
    """StorageRefusal ContainerNotFound."""
    found = find_container(connection, name)
    if found is None:
        raise refused("ContainerNotFound")
    return found


def create_container(connection: sqlite3.Connection, name: str, metadata: Mapping[str, str], now: float) -> Container:
    """StorageRefusal ContainerAlreadyExists."""
    if find_container(connection, name):
        raise refused("ContainerAlreadyExists")
    connection.execute(
        "INSERT INTO blob_containers (name, etag, modified, metadata) VALUES (?, ?, ?, ?)",
        (name, _next_etag(now, 0), now, dump(metadata)),
    )
    return need_container(connection, name)


def set_container_metadata(
    connection: sqlite3.Connection, name: str, metadata: Mapping[str, str], now: float
) -> Container:
    """StorageRefusal ContainerNotFound."""
    etag = _next_etag(now, int(need_container(connection, name).etag, 16))
    connection.execute(
        "UPDATE blob_containers SET etag = ?, modified = ?, metadata = ? WHERE name = ?",
        (etag, now, dump(metadata), name),
    )
    return need_container(connection, name)


def delete_container(connection: sqlite3.Connection, name: str) -> list[str]:
    """With all its blobs; StorageRefusal ContainerNotFound."""
    need_container(connection, name)
    parts = connection.execute("SELECT file FROM blob_parts JOIN blobs ON id = blob WHERE container = ?", (name,))
    blocks = connection.execute("SELECT file FROM blob_blocks WHERE container = ?", (name,))
    files = [file for (file,) in (*parts, *blocks)]
    connection.execute("DELETE FROM blob_containers WHERE name = ?", (name,))
    return files


_COLUMNS = "id, container, name, etag, created, modified, size, properties, metadata"


def find_blob(connection: sqlite3.Connection, container: str, name: str) -> Blob | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM blobs WHERE container = ? AND name = ?", (container, name))
    found = row.fetchone()
    return blob_of(found) if found else None


def blob_of(row: Sequence[Any]) -> Blob:
    """From the columns in the order of the table."""
    number, container, name, etag, created, modified, size, properties, metadata = row
    return Blob(
        id=number,
        container=container,
        name=name,
        etag=f"0x{etag:X}",
        created=created,
        modified=modified,
        size=size,
        properties=load(properties),
        metadata=load(metadata),
    )


def blob_parts(connection: sqlite3.Connection, blob: Blob) -> list[Part]:
    """The blob's content, in order."""
    rows = connection.execute("SELECT file, size, block FROM blob_parts WHERE blob = ? ORDER BY number", (blob.id,))
    return [Part(file=file, size=size, block=block) for file, size, block in rows]


def staged_blocks(connection: sqlite3.Connection, container: str, name: str) -> list[Part]:
    """The blocks that are not in the blob yet, by id."""
    rows = connection.execute(
        "SELECT file, size, block FROM blob_blocks WHERE container = ? AND name = ? ORDER BY block", (container, name)
    )
    return [Part(file=file, size=size, block=block) for file, size, block in rows]


def staged_summary(connection: sqlite3.Connection, container: str, name: str) -> tuple[int, int]:
    """How many such blocks there are, and how long their ids are (0: there are none)."""
    count, length = connection.execute(
        "SELECT count(*), length(min(block)) FROM blob_blocks WHERE container = ? AND name = ?", (container, name)
    ).fetchone()
    return count, length or 0


def stage_block(connection: sqlite3.Connection, container: str, name: str, part: Part, now: float) -> list[str]:
    """Keep a block for later, in place of one with the same id; the file of that."""
    at = (container, name, part.block)
    where = "WHERE container = ? AND name = ? AND block = ?"
    before = [file for (file,) in connection.execute(f"SELECT file FROM blob_blocks {where}", at)]
    connection.execute(
        "INSERT OR REPLACE INTO blob_blocks (container, name, block, file, size, staged) VALUES (?, ?, ?, ?, ?, ?)",
        (*at, part.file, part.size, now),
    )
    return before


def chosen_parts(connection: sqlite3.Connection, container: str, name: str, blocks: Iterable[Block]) -> list[Part]:
    """The blocks of a list, found; StorageRefusal InvalidBlockList when one is not there."""
    blob = find_blob(connection, container, name)
    committed = {part.block: part for part in (blob_parts(connection, blob) if blob else ())}
    uncommitted = {part.block: part for part in staged_blocks(connection, container, name)}
    places = {"Committed": committed, "Uncommitted": uncommitted, "Latest": committed | uncommitted}
    try:
        return [places[block.source][block.id] for block in blocks]
    except KeyError:
        raise refused("InvalidBlockList") from None


def commit_blob(
    connection: sqlite3.Connection,
    container: str,
    name: str,
    parts: Sequence[Part],
    *,
    properties: Mapping[str, str],
    metadata: Mapping[str, str],
    now: float,
) -> tuple[Blob, list[str]]:
    """Make a blob of ``parts``, in place of the one before; blocks that are left over go."""
    before = find_blob(connection, container, name)
    old = [*(blob_parts(connection, before) if before else ()), *staged_blocks(connection, container, name)]
    etag = _next_etag(now, int(before.etag, 16) if before else 0)
    connection.execute("DELETE FROM blobs WHERE container = ? AND name = ?", (container, name))
    connection.execute("DELETE FROM blob_blocks WHERE container = ? AND name = ?", (container, name))
    size = sum(part.size for part in parts)
    created = before.created if before else now
    number = connection.execute(
        "INSERT INTO blobs (container, name, etag, created, modified, size, properties, metadata) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (container, name, etag, created, now, size, dump(properties), dump(metadata)),
    ).lastrowid
    connection.executemany(
        "INSERT INTO blob_parts (blob, number, block, file, size) VALUES (?, ?, ?, ?, ?)",
        ((number, place, part.block, part.file, part.size) for place, part in enumerate(parts)),
    )
    kept = {part.file for part in parts}
    blob = find_blob(connection, container, name)
    assert blob is not None
    return blob, [part.file for part in old if part.file not in kept]


def set_blob(
    connection: sqlite3.Connection,
    blob: Blob,
    *,
    properties: Mapping[str, str],
    metadata: Mapping[str, str],
    now: float,
) -> Blob:
    """Change what is told of a blob; its content stays."""
    connection.execute(
        "UPDATE blobs SET etag = ?, modified = ?, properties = ?, metadata = ? WHERE id = ?",
        (_next_etag(now, int(blob.etag, 16)), now, dump(properties), dump(metadata), blob.id),
    )
    after = find_blob(connection, blob.container, blob.name)
    assert after is not None
    return after


def delete_blob(connection: sqlite3.Connection, blob: Blob) -> list[str]:
    """Blocks that are not in it stay, as they do in the service."""
    files = [part.file for part in blob_parts(connection, blob)]
    connection.execute("DELETE FROM blobs WHERE id = ?", (blob.id,))
    return files


def drop_old_blocks(connection: sqlite3.Connection, before: float) -> None:
    """Forget blocks that were staged before that time and never used."""
    connection.execute("DELETE FROM blob_blocks WHERE staged < ?", (before,))


def files_in_use(connection: sqlite3.Connection) -> set[str]:
    """Every file that a blob or a block is in."""
    rows = connection.execute("SELECT file FROM blob_parts UNION SELECT file FROM blob_blocks")
    return {file for (file,) in rows}


def _next_etag(now: float, before: int) -> int:
    return max(_EPOCH_TICKS + int(now * 10_000_000), before + 1)
