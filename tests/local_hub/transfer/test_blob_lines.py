"""Blobs of lines, in pieces."""

from __future__ import annotations

import pytest

from local_hub.transfer import blob_lines
from local_hub.transfer.blob_lines import LineWriter, read_lines
from local_hub.transfer.container import ContainerError


class MemoryContainer:
    """Blobs in memory."""

    def __init__(self, **blobs: bytes) -> None:
        self.blobs = blobs
        self.staged: dict[str, dict[int, bytes]] = {}

    async def size(self, blob: str) -> int | None:
        return len(self.blobs[blob]) if blob in self.blobs else None

    async def read(self, blob: str, start: int, length: int) -> bytes:
        return self.blobs[blob][start : start + length]

    async def stage(self, blob: str, number: int, content: bytes) -> None:
        self.staged.setdefault(blob, {})[number] = content

    async def commit(self, blob: str, blocks: int) -> None:
        staged = self.staged.pop(blob, {})
        self.blobs[blob] = b"".join(staged[number] for number in range(blocks))


@pytest.fixture(params=[1, 3, 1000])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_lines, "BLOCK_BYTES", request.param)


async def lines_of(container: MemoryContainer, size: int, start: int = 0) -> list[tuple[bytes, int]]:
    return [(line.text, line.end) async for line in read_lines(container, "b", start, size)]


@pytest.mark.usefixtures("block_bytes")
async def test_what_was_written_is_read() -> None:
    container = MemoryContainer()
    writer = LineWriter(container, "b")
    for line in (b"one", b"", b"three"):
        await writer.write(line)
    assert "b" not in container.blobs
    await writer.close()
    assert container.blobs["b"] == b"one\n\nthree\n"
    assert await lines_of(container, 11) == [(b"one", 4), (b"", 5), (b"three", 11)]


@pytest.mark.usefixtures("block_bytes")
async def test_the_last_line_needs_no_end_and_windows_ends_do_not_count() -> None:
    container = MemoryContainer(b=b"\xef\xbb\xbfone\r\ntwo")
    assert await lines_of(container, 11) == [(b"one", 8), (b"two", 11)]


@pytest.mark.usefixtures("block_bytes")
async def test_reading_goes_on_where_a_line_ended() -> None:
    container = MemoryContainer(b=b"one\ntwo\nthree")
    assert await lines_of(container, 13, start=4) == [(b"two", 8), (b"three", 13)]


async def test_nothing_written_is_an_empty_blob() -> None:
    container = MemoryContainer()
    await LineWriter(container, "b").close()
    assert container.blobs["b"] == b""


async def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_lines, "BLOCK_BYTES", 4)
    monkeypatch.setattr(blob_lines, "MOST_LINE_BYTES", 10)
    with pytest.raises(ContainerError, match="a line of more than 10 bytes"):
        await lines_of(MemoryContainer(b=b"x" * 100), 100)


async def test_a_blob_that_shrank_is_given_up() -> None:
    with pytest.raises(ContainerError, match="shorter than it was"):
        await lines_of(MemoryContainer(b=b"abc"), 10)
