"""The server on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from iot_core.errors import InputError
from modules.common.http11 import Head, HttpError, HttpServer, Request, Response, http_serving
from modules.common.http11 import server as server_module
from modules.common.http11.buffers import LARGEST, SMALLEST, BufferPool

HOST = "127.91.3.5"
LIMIT = 1_000_000


class Echo:
    """Answers with what it was sent; /later only once it is let, /broken never."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = asyncio.Event()

    def admit(self, head: Head) -> int:
        if head.path == "/closed":
            raise HttpError(403, "closed")
        return LIMIT

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        if request.path == "/broken":
            raise RuntimeError("a bug")
        return self._later(request) if request.path == "/later" else self._answer(request)

    def refused(self, error: HttpError, head: Head | None) -> Response:
        return Response(status=error.status, body=str(error).encode(), headers=error.headers)

    async def _later(self, request: Request) -> Response:
        self.asked.set()
        await self.let.wait()
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        return Response(body=f"{request.method} {request.path} ".encode() + bytes(request.body))


class Peer:
    """A client that writes bytes as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, body: bool = True) -> tuple[int, bytes, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if b"ontent-" in head else 0
        return int(head.split()[1]), head, await self.reader.readexactly(length if body else 0)

    async def ended(self) -> bool:
        return await self.reader.read() == b""


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Echo, HttpServer, Peer]]:
    echo = Echo()
    server = HttpServer(echo)
    port = await server.start(HOST, 0)
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield echo, server, Peer(reader, writer)
    finally:
        writer.close()
        echo.let.set()
        await server.stop()


def post(path: str, body: bytes, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_requests_of_one_connection_are_answered_in_order() -> None:
    async with served() as (echo, _, peer):
        await peer.send(post("/later", b"1") + post("/now", b"2") + post("/now", b"3"))
        await echo.asked.wait()
        echo.let.set()
        assert [(await peer.answer())[2] for _ in range(3)] == [b"POST /later 1", b"POST /now 2", b"POST /now 3"]


@pytest.mark.parametrize("piece", [1, 7])
async def test_a_request_may_come_in_small_pieces(piece: int) -> None:
    async with served() as (_, _, peer):
        data = b"\r\n" + post("/a", b"hello") + b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
        for start in range(0, len(data), piece):
            await peer.send(data[start : start + piece])
        assert [(await peer.answer())[2] for _ in range(2)] == [b"POST /a hello", b"GET /b "]


async def test_large_bodies_one_after_the_other_do_not_mix() -> None:
    async with served() as (_, _, peer):
        for size, letter in ((900_000, b"a"), (500_000, b"b"), (999_999, b"c"), (70_000, b"d")):
            await peer.send(post("/x", letter * size))
            assert (await peer.answer())[2] == b"POST /x " + letter * size


async def test_chunks_are_taken() -> None:
    async with served() as (_, _, peer):
        head = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        await peer.send(head + b"3\r\nabc\r\n")
        await peer.send(b"2\r\nde\r\n0\r\n\r\n" + post("/d", b"f"))
        assert [(await peer.answer())[2] for _ in range(2)] == [b"POST /c abcde", b"POST /d f"]


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with served() as (_, _, peer):
        await peer.send(post("/x", b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 3"))
        assert (await peer.answer())[0] == 100
        await peer.send(b"abc")
        assert (await peer.answer())[2] == b"POST /x abc"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post("/x", b"").replace(b"Length: 0", b"Length: 1000001"), 413),
        (post("/x", b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 1000001"), 413),
        (post("/closed", b"").replace(b"Length: 0", b"Length: 9"), 403),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 40_000, 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nf4241\r\n", 413),
    ],
)
async def test_what_cannot_be_taken_is_answered_and_the_connection_ends(data: bytes, status: int) -> None:
    async with served() as (_, _, peer):
        await peer.send(data)
        found, head, _ = await peer.answer()
        assert (found, b"Connection: close" in head) == (status, True)
        assert await peer.ended()


async def test_a_refusal_without_a_body_leaves_the_connection_open() -> None:
    async with served() as (_, _, peer):
        await peer.send(b"GET /closed HTTP/1.1\r\nHost: h\r\n\r\n" + post("/x", b"1"))
        assert [(await peer.answer())[0] for _ in range(2)] == [403, 200]


async def test_a_bug_is_a_500_and_not_the_end() -> None:
    async with served() as (_, _, peer):
        await peer.send(post("/broken", b"") + post("/x", b"1"))
        assert [(await peer.answer())[0] for _ in range(2)] == [500, 200]


async def test_head_has_no_body_and_http_1_0_ends() -> None:
    async with served() as (_, _, peer):
        await peer.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        assert (await peer.answer(body=False))[0] == 200
        assert (await peer.answer())[2] == b"GET / "
        assert await peer.ended()


async def test_a_client_that_closes_its_side_still_gets_its_answer() -> None:
    async with served() as (echo, _, peer):
        await peer.send(post("/later", b"1"))
        await echo.asked.wait()
        peer.writer.write_eof()
        echo.let.set()
        assert (await peer.answer())[2] == b"POST /later 1"
        assert await peer.ended()


async def test_slow_and_silent_connections_are_ended() -> None:
    async with served() as (_, server, peer):
        await peer.send(post("/x", b"1"))
        await peer.answer()
        await peer.send(b"POST /x HTTP/1.1\r\nHost:")
        while all(connection.idle for connection in server._connections):
            await asyncio.sleep(0)
        server.sweep(asyncio.get_running_loop().time() + server_module.RECEIVE_S + 1)
        assert (await peer.answer())[0] == 408
        assert await peer.ended()


async def test_an_idle_connection_is_closed_in_time() -> None:
    async with served() as (_, server, peer):
        await peer.send(post("/x", b"1"))
        await peer.answer()
        server.sweep(asyncio.get_running_loop().time() + server_module.RECEIVE_S + 1)
        await peer.send(post("/x", b"2"))
        assert (await peer.answer())[2] == b"POST /x 2"
        server.sweep(asyncio.get_running_loop().time() + server_module.KEEP_ALIVE_S + 1)
        assert await peer.ended()


async def test_more_bodies_than_memory_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_IN_FLIGHT", 150_000)
    async with served() as (echo, server, peer):
        await peer.send(post("/later", bytes(100_000)))
        await echo.asked.wait()
        reader, writer = await asyncio.open_connection(*peer.writer.get_extra_info("peername"))
        second = Peer(reader, writer)
        await second.send(post("/x", b"").replace(b"Length: 0", b"Length: 100000"))
        assert (await second.answer())[0] == 503
        echo.let.set()
        assert (await peer.answer())[0] == 200
        assert server._bytes == 0
        writer.close()


async def test_a_stop_lets_the_answer_under_way_out() -> None:
    async with served() as (echo, server, peer):
        await peer.send(post("/later", b"1"))
        await echo.asked.wait()
        stopping = asyncio.create_task(server.stop())
        while not server.stopping:
            await asyncio.sleep(0)
        echo.let.set()
        status, head, _ = await peer.answer()
        assert (status, b"Connection: close" in head) == (200, True)
        await stopping


async def test_a_busy_port_is_one_clear_line() -> None:
    async with http_serving(Echo(), HOST, 0, remedy="use --port") as port:
        with pytest.raises(InputError, match=rf"^port {port} on {HOST} is in use: use --port$"):
            async with http_serving(Echo(), HOST, port, remedy="use --port"):
                pass


def test_a_buffer_is_used_again_unless_somebody_looks_into_it() -> None:
    pool = BufferPool()
    first = pool.take(SMALLEST * 4)
    pool.give_back(first)
    assert pool.take(SMALLEST * 3) is first
    pool.give_back(first)
    view = memoryview(first)
    assert pool.take(SMALLEST * 2) is not first
    view.release()


@pytest.mark.parametrize("size", [10, LARGEST + 1])
def test_small_and_huge_buffers_are_not_kept(size: int) -> None:
    pool = BufferPool()
    first = pool.take(size)
    pool.give_back(first)
    assert pool.take(size) is not first
