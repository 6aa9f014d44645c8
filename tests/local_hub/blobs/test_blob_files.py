"""Contents on disk: kept while they are read, gone when nobody needs them, whole whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from iot_core.clock import ManualClock
from iot_core.storage.refusals import StorageRefusal, refused
from local_hub.blobs import receiving
from local_hub.blobs.blob_store import BlobStore, Described
from local_hub.blobs.rows import Blob, Block
from local_hub.hub import Hub

PLAIN = Described(properties={}, metadata={})
WEEK_S = 7 * 24 * 3600


class FixedBody:
    """A body that has come already; shorter than was said when ``cut``."""

    def __init__(self, data: bytes, *, cut: bool = False) -> None:
        self._data = data
        self._cut = cut

    async def readexactly(self, n: int) -> bytes:
        if self._cut:
            raise asyncio.IncompleteReadError(b"", n)
        piece, self._data = self._data[:n], self._data[n:]
        return piece


@pytest.fixture
def blobs(hub: Hub) -> BlobStore:
    return hub.files.blobs


def anything(_blob: Blob | None) -> None: ...


def nothing(_blob: Blob | None) -> None:
    raise refused("ConditionNotMet")


async def put(blobs: BlobStore, data: bytes, name: str = "a") -> Blob:
    received = await blobs.receive({}, len(data), FixedBody(data))
    return await blobs.put("device-files", name, received, PLAIN, anything)


async def put_block(blobs: BlobStore, block: str, data: bytes, name: str = "a") -> None:
    await blobs.put_block("device-files", name, block, await blobs.receive({}, len(data), FixedBody(data)))


async def read(blobs: BlobStore, name: str = "a") -> bytes:
    with blobs.content("device-files", name) as content:
        return b"".join([piece async for piece in blobs.files.read(content.parts, range(content.blob.size))])


def files(home: Path) -> list[Path]:
    return list((home / "hub" / "blobs").iterdir())


async def test_files_are_for_their_owner_alone(blobs: BlobStore, tmp_path: Path) -> None:
    await put(blobs, b"x")
    [file] = files(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_what_is_overwritten_or_deleted_leaves_no_file(blobs: BlobStore, tmp_path: Path) -> None:
    await put(blobs, b"1")
    await put(blobs, b"2")
    await put_block(blobs, "YQ==", b"3")
    await put_block(blobs, "YQ==", b"4")
    assert len(files(tmp_path)) == 2
    await blobs.put_block_list("device-files", "a", [Block(id="YQ==", source="Latest")], PLAIN, anything)
    assert (await read(blobs), len(files(tmp_path))) == (b"4", 1)
    await blobs.delete("device-files", "a", anything)
    assert files(tmp_path) == []


async def test_a_container_takes_its_files_along(blobs: BlobStore, tmp_path: Path) -> None:
    await put(blobs, b"1")
    await put_block(blobs, "YQ==", b"2", "b")
    await blobs.delete_container("device-files")
    assert files(tmp_path) == []


async def test_a_reader_gets_all_of_the_version_it_began_with(blobs: BlobStore, tmp_path: Path) -> None:
    await put(blobs, b"old")
    with blobs.content("device-files", "a") as content:
        await put(blobs, b"new")
        pieces = [piece async for piece in blobs.files.read(content.parts, range(3))]
    assert (b"".join(pieces), await read(blobs), len(files(tmp_path))) == (b"old", b"new", 1)


async def test_a_body_that_ends_early_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StorageRefusal, match="InvalidInput"):
        await blobs.receive({}, 5, FixedBody(b"", cut=True))
    assert files(tmp_path) == []


async def test_a_body_that_does_not_come_is_given_up(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SilentBody:
        async def readexactly(self, _n: int) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(receiving, "PIECE_S", 0.01)
    with pytest.raises(StorageRefusal, match="OperationTimedOut"):
        await blobs.receive({}, 5, SilentBody())
    assert files(tmp_path) == []


async def test_a_refused_blob_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    received = await blobs.receive({}, 1, FixedBody(b"x"))
    with pytest.raises(StorageRefusal, match="ConditionNotMet"):
        await blobs.put("device-files", "a", received, PLAIN, nothing)
    assert files(tmp_path) == []


async def test_a_restart_keeps_blobs_and_blocks_and_clears_away_the_rest(
    open_hub: Callable[..., Awaitable[Hub]], tmp_path: Path, clock: ManualClock
) -> None:
    hub = await open_hub()
    await put(hub.files.blobs, b"kept")
    await put_block(hub.files.blobs, "YQ==", b"staged", "b")
    await hub.stop()
    await hub.store.close()
    (tmp_path / "hub" / "blobs" / "left-over").write_bytes(b"x")
    again = await open_hub()
    assert (await read(again.files.blobs), len(files(tmp_path))) == (b"kept", 2)
    await again.stop()
    await again.store.close()
    clock.advance(WEEK_S + 1)
    last = await open_hub()
    assert (await read(last.files.blobs), len(files(tmp_path))) == (b"kept", 1)
    await last.stop()
    await last.store.close()


@pytest.mark.parametrize("wanted", [range(10), range(3), range(2, 5), range(4, 10), range(9, 10), range(3, 4)])
async def test_ranges_go_across_the_parts(blobs: BlobStore, wanted: range) -> None:
    for block, data in (("YQ==", b"012"), ("Yg==", b"3"), ("Yw==", b"456789")):
        await put_block(blobs, block, data)
    blocks = [Block(id=block, source="Uncommitted") for block in ("YQ==", "Yg==", "Yw==")]
    await blobs.put_block_list("device-files", "a", blocks, PLAIN, anything)
    with blobs.content("device-files", "a") as content:
        found = b"".join([piece async for piece in blobs.files.read(content.parts, wanted)])
    assert found == bytes(range(0x30, 0x3A))[wanted.start : wanted.stop]


async def test_every_change_has_an_etag_of_its_own(blobs: BlobStore) -> None:
    etags = [(await put(blobs, b"x")).etag for _ in range(3)]
    etags.append((await blobs.describe("device-files", "a", lambda _blob: PLAIN, anything)).etag)
    assert len(set(etags)) == 4


async def test_block_lists_tell_committed_from_uncommitted(blobs: BlobStore) -> None:
    await put_block(blobs, "YQ==", b"old")
    await blobs.put_block_list("device-files", "a", [Block(id="YQ==", source="Latest")], PLAIN, anything)
    await put_block(blobs, "YQ==", b"new")
    with pytest.raises(StorageRefusal, match="InvalidBlockList"):
        await blobs.put_block_list("device-files", "a", [Block(id="Yg==", source="Latest")], PLAIN, anything)
    blocks = [Block(id="YQ==", source="Committed"), Block(id="YQ==", source="Uncommitted")]
    await blobs.put_block_list("device-files", "a", blocks, PLAIN, anything)
    assert await read(blobs) == b"oldnew"
