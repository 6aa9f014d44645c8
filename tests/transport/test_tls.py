"""The TLS layer between sockets and protocols, against the standard library's TLS, on both event loops."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from transport.certificates import CertificateError, KeyPair, make_authority
from transport.tls import ClientCertificate, ServerContext, TlsError, open_tls_connection, tls_protocol_factory
from transport.tls_engine import ClientEngine

LARGE = bytes(range(256)) * 40_960
SELF_SIGNED = 18
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT."""


class Recorder(asyncio.Protocol):
    """Keeps what it hears; what else it does is given as a function of itself and the data."""

    def __init__(
        self, on_data: Callable[[Recorder, bytes], None] | None = None, *, keep_after_eof: bool = False
    ) -> None:
        self._on_data = on_data
        self._keep_after_eof = keep_after_eof
        self.received = bytearray()
        self.heard = asyncio.Event()
        self.pauses = 0
        self.writable = asyncio.Event()
        self.made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.got_eof = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.made.set_result(transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.heard.set()
        if self._on_data is not None:
            self._on_data(self, data)

    def eof_received(self) -> bool:
        self.got_eof.set()
        return self._keep_after_eof

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    def pause_writing(self) -> None:
        self.pauses += 1
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


def echo(protocol: Recorder, data: bytes) -> None:
    protocol.transport.write(data)


@asynccontextmanager
async def serving(yard: Any, inner: Callable[[], asyncio.Protocol], **options: Any) -> AsyncIterator[int]:
    timeout = {"handshake_timeout": options.pop("handshake_timeout")} if "handshake_timeout" in options else {}
    context = ServerContext(yard.certificate_path, yard.key_path, **options)
    loop = asyncio.get_running_loop()
    factory = tls_protocol_factory(context, inner, **timeout)
    layers: list[Any] = []
    server = await loop.create_server(lambda: layers.append(factory()) or layers[-1], yard.host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for layer in layers:
            layer.abort()
        for _turn in range(5):
            await asyncio.sleep(0)


class ByHand:
    """A client over a bare socket, so that a test can send any bytes and see what TLS sees."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: ClientEngine) -> None:
        self.reader, self.writer, self.engine = reader, writer, engine

    def flush(self) -> None:
        self.writer.write(self.engine.pending())

    async def exchange(self) -> bool:
        self.flush()
        data = await self.reader.read(16384)
        self.engine.feed(memoryview(data))
        return bool(data)

    async def read(self) -> bytes:
        while (data := self.engine.read()) is None:
            assert await self.exchange(), "the server hung up without close_notify"
        return data


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def dial(yard: Any, port: int, context: ssl.SSLContext | None) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(yard.host, port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def by_hand(yard: Any, port: int) -> AsyncIterator[ByHand]:
    async with dial(yard, port, None) as (reader, writer):
        client = ByHand(reader, writer, ClientEngine(yard.client_context(), yard.host))
        while not client.engine.handshake():
            await client.exchange()
        client.flush()
        yield client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_standard_clients_talk_both_ways(yard: Any, version: ssl.TLSVersion) -> None:
    context = yard.client_context()
    context.minimum_version = context.maximum_version = version
    async with serving(yard, lambda: Recorder(echo)) as port, dial(yard, port, context) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        writer.close()
        await writer.wait_closed()


async def test_tls_1_1_is_refused(yard: Any) -> None:
    context = yard.client_context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(yard, Recorder) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(yard.host, port, ssl=context)


async def test_megabytes_pass_both_ways(yard: Any) -> None:
    async with (
        serving(yard, lambda: Recorder(echo)) as port,
        dial(yard, port, yard.client_context()) as (reader, writer),
    ):
        sending = asyncio.create_task(feed(writer, LARGE))
        assert await reader.readexactly(len(LARGE)) == LARGE
        await sending
        writer.close()


async def feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    for start in range(0, len(data), 100_000):
        writer.write(data[start : start + 100_000])
        await writer.drain()


async def test_many_small_writes_arrive_in_order(yard: Any) -> None:
    words = [b"%d," % number for number in range(5000)]

    def answer(protocol: Recorder, _data: bytes) -> None:
        for word in words:
            protocol.transport.write(word)
        protocol.transport.writelines([b"e", b"n", b"d"])

    async with (
        serving(yard, lambda: Recorder(answer)) as port,
        dial(yard, port, yard.client_context()) as (reader, writer),
    ):
        writer.write(b"go")
        assert await reader.readuntil(b"end") == b"".join(words) + b"end"
        writer.close()


async def test_data_right_behind_the_handshake_is_not_lost(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        for _record in range(10):
            client.engine.write(memoryview(LARGE[:16384]))
        client.flush()
        await server.made
        client.engine.shutdown()
        client.flush()
        await server.got_eof.wait()
        assert server.received == LARGE[:16384] * 10


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_ciphertext_may_come_in_any_pieces(yard: Any, piece: int) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        client.engine.write(memoryview(b"x" * 2000))
        client.engine.shutdown()
        sealed = client.engine.pending()
        for start in range(0, len(sealed), piece):
            client.writer.write(sealed[start : start + piece])
            await asyncio.sleep(0)
        await server.got_eof.wait()
        assert server.received == b"x" * 2000


async def test_the_inner_protocol_learns_who_is_there(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server, alpn=["mqtt", "http/1.1"]) as port:
        context = yard.client_context()
        context.set_alpn_protocols(["http/1.1"])
        _reader, writer = await asyncio.open_connection(yard.host, port, ssl=context)
        transport = await server.made
        assert transport.get_extra_info("peername") == writer.get_extra_info("sockname")
        assert transport.get_extra_info("sockname")[:2] == (yard.host, port)
        assert transport.get_extra_info("ssl_object", "absent") is None
        assert transport.get_extra_info("peercert_der", "absent") is None
        assert transport.get_extra_info("tls_version") == "TLSv1.3"
        assert transport.get_extra_info("alpn") == "http/1.1"
        assert transport.get_extra_info("nothing", "default") == "default"
        writer.close()


async def test_close_sends_what_was_written_then_close_notify(yard: Any) -> None:
    def answer(protocol: Recorder, _data: bytes) -> None:
        protocol.transport.write(LARGE)
        protocol.transport.close()
        assert protocol.transport.is_closing()
        protocol.transport.write(b"after the end")
        protocol.transport.close()

    server = Recorder(answer)
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        client.engine.write(memoryview(b"go"))
        received = bytearray()
        while data := await client.read():
            received += data
        assert received == LARGE
        client.writer.close()
        assert await server.lost is None


async def test_last_words_reach_a_client_that_is_still_sending(yard: Any) -> None:
    def refuse(protocol: Recorder, _data: bytes) -> None:
        protocol.transport.write(b"go away")
        protocol.transport.close()

    async with serving(yard, lambda: Recorder(refuse)) as port, by_hand(yard, port) as client:
        for start in range(0, 1_600_000, 16000):
            client.engine.write(memoryview(LARGE[start : start + 16000]))
        assert await client.read() == b"go away"
        assert await client.read() == b""
        client.writer.close()


async def test_a_client_that_said_all_still_gets_its_answer(yard: Any) -> None:
    server = Recorder(keep_after_eof=True)
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        client.engine.write(memoryview(b"question"))
        client.engine.shutdown()
        client.flush()
        await server.got_eof.wait()
        server.transport.write(b"answer to " + server.received)
        server.transport.close()
        assert await client.read() == b"answer to question"
        client.writer.close()
        assert await server.lost is None


async def test_a_client_that_just_hangs_up_is_an_end_of_file(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        await server.made
        client.writer.write_eof()
        await server.got_eof.wait()
        assert await server.lost is None


async def test_abort_drops_the_connection_at_once(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, dial(yard, port, yard.client_context()) as (reader, writer):
        (await server.made).abort()
        assert await server.lost is None
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_garbage_instead_of_a_handshake_gets_an_alert_and_no_protocol(yard: Any) -> None:
    made: list[Recorder] = []
    async with serving(yard, lambda: made.append(Recorder()) or made[-1]) as port:
        reader, writer = await asyncio.open_connection(yard.host, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 20)
        answer = await reader.read()
        assert answer[:1] in (b"", b"\x15")
        assert made == []
        writer.close()


async def test_garbage_in_the_middle_ends_the_connection_with_a_tls_error(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        client.engine.write(memoryview(b"good"))
        client.flush()
        client.writer.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        assert await client.reader.read()
        client.writer.close()
        assert isinstance(await server.lost, TlsError)
        assert server.received == b"good"


async def test_a_silent_client_is_cut_off(yard: Any) -> None:
    async with serving(yard, Recorder, handshake_timeout=0.05) as port, dial(yard, port, None) as (reader, writer):
        assert len(await reader.read()) < 20
        writer.close()


async def test_a_handshake_has_a_size_limit(yard: Any) -> None:
    async with serving(yard, Recorder) as port, dial(yard, port, None) as (reader, writer):
        record = b"\x16\x03\x01\x40\x00"
        endless = record + b"\x01\x01\xff\xff\x03\x03" + b"x" * 16378 + (record + b"x" * 16384) * 3
        writer.write(endless)
        await writer.drain()
        assert not reader.at_eof()
        writer.write(record)
        await reader.read()
        assert reader.at_eof()
        writer.close()


async def test_a_paused_reader_hears_nothing_and_then_everything(yard: Any) -> None:
    heard = asyncio.Event()

    def pause_first(protocol: Recorder, _data: bytes) -> None:
        if not heard.is_set():
            heard.set()
            protocol.transport.pause_reading()

    server = Recorder(pause_first)
    async with serving(yard, lambda: server) as port, dial(yard, port, yard.client_context()) as (reader, writer):
        sending = asyncio.create_task(feed(writer, LARGE))
        await heard.wait()
        first = len(server.received)
        for _turn in range(50):
            await asyncio.sleep(0)
        assert len(server.received) == first
        assert not server.transport.is_reading()
        server.transport.resume_reading()
        await sending
        writer.close()
        await server.got_eof.wait()
        assert server.received == LARGE
        assert await reader.read() == b""


async def test_a_writer_is_held_back_while_the_client_does_not_read(yard: Any) -> None:
    server = Recorder()
    async with serving(yard, lambda: server) as port, by_hand(yard, port) as client:
        transport: Any = await server.made
        written = 0
        while not server.pauses:
            transport.write(LARGE[:65536])
            written += 65536
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() > 0
        received = 0
        while received < written:
            received += len(await client.read())
        await server.writable.wait()
        client.writer.close()


async def test_a_verify_callback_can_accept_a_self_signed_client(yard: Any, tmp_path: Path) -> None:
    device = make_authority(common_name="sensor-1")
    device.save(tmp_path / "device.pem", tmp_path / "device.key")
    seen: list[ClientCertificate] = []
    server = Recorder()
    async with serving(yard, lambda: server, verify=lambda certificate: not seen.append(certificate)) as port:
        writer = await dial_with(yard, port, tmp_path)
        transport = await server.made
        assert transport.get_extra_info("peercert_der") == ssl.PEM_cert_to_DER_cert(device.certificate_pem.decode())
        assert (seen[0].depth, seen[0].error) == (0, SELF_SIGNED)
        writer.close()


async def test_a_verify_callback_can_refuse(yard: Any, tmp_path: Path) -> None:
    make_authority().save(tmp_path / "device.pem", tmp_path / "device.key")
    async with serving(yard, Recorder, verify=lambda _certificate: False) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial_with(yard, port, tmp_path, maximum=ssl.TLSVersion.TLSv1_2)


async def test_each_connection_is_verified_anew(yard: Any, tmp_path: Path) -> None:
    make_authority().save(tmp_path / "device.pem", tmp_path / "device.key")
    judged = 0

    def judge(_certificate: ClientCertificate) -> bool:
        nonlocal judged
        judged += 1
        return True

    async with serving(yard, lambda: Recorder(echo), verify=judge) as port:
        counts = []
        for _dial in range(2):
            (await dial_with(yard, port, tmp_path, maximum=ssl.TLSVersion.TLSv1_2)).close()
            counts.append(judged)
        assert counts[1] == 2 * counts[0]


async def test_a_client_without_certificate_is_let_through_to_the_inner_protocol(yard: Any) -> None:
    server = Recorder()
    async with (
        serving(yard, lambda: server, verify=lambda _certificate: False) as port,
        dial(yard, port, yard.client_context()) as (_reader, writer),
    ):
        assert (await server.made).get_extra_info("peercert_der", "absent") is None
        writer.close()


async def dial_with(
    yard: Any, port: int, folder: Path, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> asyncio.StreamWriter:
    context = yard.client_context()
    context.maximum_version = maximum
    context.load_cert_chain(folder / "device.pem", folder / "device.key")
    return (await asyncio.open_connection(yard.host, port, ssl=context))[1]


async def test_unusable_files_are_refused(yard: Any, tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="nowhere"):
        ServerContext(tmp_path / "nowhere.pem", yard.key_path)
    other = KeyPair(certificate_pem=b"", private_key_pem=make_authority().private_key_pem)
    (tmp_path / "other.key").write_bytes(other.private_key_pem)
    with pytest.raises(CertificateError, match=r"other\.key"):
        ServerContext(yard.certificate_path, tmp_path / "other.key")


async def test_our_client_talks_to_our_server(yard: Any) -> None:
    async with serving(yard, lambda: Recorder(echo)) as port:
        transport, client = await open_tls_connection(Recorder, yard.host, port, yard.client_context())
        transport.write(b"hello")
        await client.heard.wait()
        assert client.received == b"hello"
        transport.close()
        assert await client.lost is None


async def test_our_client_refuses_an_unknown_authority_and_a_wrong_name(yard: Any) -> None:
    async with serving(yard, Recorder) as port:
        with pytest.raises(TlsError, match="certificate refused"):
            await open_tls_connection(Recorder, yard.host, port, ssl.create_default_context())
        with pytest.raises(TlsError, match="mismatch"):
            await open_tls_connection(Recorder, yard.host, port, yard.client_context(), server_hostname="other.example")


async def test_our_client_fails_when_the_server_speaks_no_tls(yard: Any) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), yard.host, 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises((TlsError, ConnectionError)):
        await open_tls_connection(Recorder, yard.host, port, yard.client_context())
    server.close()


async def mirror(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), headers={"X-Scheme": request.scheme})


async def mirror_socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def web_server(yard: Any, folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    app = web.Application(client_max_size=len(LARGE) + 1)
    (folder / "large.bin").write_bytes(LARGE)
    app.add_routes([web.post("/", mirror), web.get("/ws", mirror_socket), web.static("/files", folder)])
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    async with serving(yard, runner.server) as port:
        connector = aiohttp.TCPConnector(ssl=yard.client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session, f"https://{yard.host}:{port}"
        await runner.cleanup()


async def test_aiohttp_serves_large_bodies_on_top(yard: Any, tmp_path: Path) -> None:
    async with web_server(yard, tmp_path) as (session, url), session.post(url, data=io.BytesIO(LARGE)) as response:
        assert response.headers["X-Scheme"] == "https"
        assert await response.read() == LARGE


async def test_aiohttp_serves_files_on_top(yard: Any, tmp_path: Path) -> None:
    async with web_server(yard, tmp_path) as (session, url), session.get(f"{url}/files/large.bin") as response:
        assert await response.read() == LARGE


async def test_aiohttp_keeps_connections_and_websockets_on_top(yard: Any, tmp_path: Path) -> None:
    async with web_server(yard, tmp_path) as (session, url):
        for number in range(20):
            async with session.post(url, data=b"%d" % number) as response:
                assert await response.read() == b"%d" % number
        async with session.ws_connect(f"{url}/ws") as socket:
            await socket.send_bytes(LARGE[:1_000_000])
            assert await socket.receive_bytes() == LARGE[:1_000_000]


@pytest.mark.parametrize(
    "scenario",
    [
        test_megabytes_pass_both_ways,
        test_many_small_writes_arrive_in_order,
        test_data_right_behind_the_handshake_is_not_lost,
        test_close_sends_what_was_written_then_close_notify,
        test_last_words_reach_a_client_that_is_still_sending,
        test_a_client_that_said_all_still_gets_its_answer,
        test_a_client_that_just_hangs_up_is_an_end_of_file,
        test_abort_drops_the_connection_at_once,
        test_garbage_instead_of_a_handshake_gets_an_alert_and_no_protocol,
        test_garbage_in_the_middle_ends_the_connection_with_a_tls_error,
        test_a_silent_client_is_cut_off,
        test_a_paused_reader_hears_nothing_and_then_everything,
        test_a_writer_is_held_back_while_the_client_does_not_read,
        test_our_client_talks_to_our_server,
        test_our_client_refuses_an_unknown_authority_and_a_wrong_name,
    ],
)
def test_uvloop_makes_no_difference(scenario: Callable[[Any], Coroutine[Any, Any, None]], yard: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(yard))


@pytest.mark.parametrize("scenario", [test_aiohttp_serves_large_bodies_on_top, test_aiohttp_serves_files_on_top])
def test_uvloop_makes_no_difference_to_aiohttp(
    scenario: Callable[[Any, Path], Coroutine[Any, Any, None]], yard: Any, tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(yard, tmp_path))
