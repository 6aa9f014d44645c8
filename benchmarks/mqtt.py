"""Messages a second and memory per connection of the MQTT transport over TLS, beside other TLS layers in the same run.

    python -m benchmarks.mqtt

The server runs in a process of its own and acknowledges each message at once; nothing is stored. The clients are ours,
in one process, so their share of a core is part of every figure. Layers: ours on uvloop, uvloop's own, and asyncio's
on its own event loop. Prints a table, writes benchmarks/results/mqtt.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from iot_core.mqtt import Connect, Decoder, Publish, Subscribe, Unsubscribe, encode, encode_pubacks
from transport.certificates import issue_server_certificate, make_authority
from transport.mqtt_client import MqttClient
from transport.mqtt_server import MqttServerProtocol
from transport.tls import ServerContext, tls_protocol_factory

HOST = "127.61.8.3"
TOPIC = "devices/sensor-1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
PAYLOAD = bytes(256)
CONNECTIONS = 50
IN_FLIGHT = (1, 10)
SECONDS = 3.0
"""Of sending, for each figure."""
IDLE_CONNECTIONS = 400
"""For the memory figures; stays below the common limit of 1,024 open files."""
LAYERS = ("ours", "uvloop", "asyncio")
RESULTS = Path(__file__).parent / "results" / "mqtt.json"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    layer: str
    value: float
    unit: str


class AcknowledgeAll:
    """A handler that takes everyone and everything, and answers at once."""

    def on_connect(self, connection: MqttServerProtocol, _packet: Connect) -> None:
        connection.accept()

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        connection.ack(*[packet.packet_id for packet in packets])

    def on_subscribe(self, connection: MqttServerProtocol, _packet: Subscribe) -> None:
        connection.close("this benchmark has no subscriptions")

    def on_unsubscribe(self, connection: MqttServerProtocol, _packet: Unsubscribe) -> None:
        connection.close("this benchmark has no subscriptions")

    def on_puback(self, _connection: MqttServerProtocol, _packet_id: int) -> None:
        """Nothing is ever sent that would be acknowledged."""

    def on_disconnect(self, _connection: MqttServerProtocol, _clean: bool, _reason: str) -> None:
        """Nothing is kept."""


async def serve(folder: Path, layer: str) -> None:
    """The server process: prints its port, runs until it is ended."""
    handler = AcknowledgeAll()
    loop = asyncio.get_running_loop()
    certificate, key = folder / "server.pem", folder / "server.key"
    if layer == "ours":
        factory = tls_protocol_factory(ServerContext(certificate, key), lambda: MqttServerProtocol(handler))
        server = await loop.create_server(factory, HOST, 0, backlog=IDLE_CONNECTIONS)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = await loop.create_server(
            lambda: MqttServerProtocol(handler), HOST, 0, ssl=context, backlog=IDLE_CONNECTIONS
        )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class ServerProcess:
    """The server in its own process; `with` ends it."""

    def __init__(self, folder: Path, layer: str) -> None:
        command = [sys.executable, "-m", "benchmarks.mqtt", "--serve", str(folder), layer]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid


def resident_kib(pid: int) -> int:
    """A process's memory as `ps` sees it, which works on Linux and macOS."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(done.stdout)


async def connect_all(count: int, port: int, context: ssl.SSLContext) -> list[MqttClient]:
    """A hundred at a time, so that no handshake waits for long."""
    clients = [MqttClient() for _number in range(count)]
    for start in range(0, count, 100):
        await asyncio.gather(
            *(
                client.connect(HOST, port, client_id=f"d{start + number}", ssl=context, keep_alive=0)
                for number, client in enumerate(clients[start : start + 100])
            )
        )
    return clients


async def throughput(port: int, context: ssl.SSLContext, in_flight: int) -> float:
    """Acknowledged messages a second."""
    clients = await connect_all(CONNECTIONS, port, context)
    started = time.perf_counter()
    end = started + SECONDS
    sent = await asyncio.gather(*(send_until(client, end) for client in clients for _slot in range(in_flight)))
    elapsed = time.perf_counter() - started
    await asyncio.gather(*(client.close() for client in clients))
    return sum(sent) / elapsed


async def send_until(client: MqttClient, end: float) -> int:
    sent = 0
    while time.perf_counter() < end:
        await client.publish_nowait(TOPIC, PAYLOAD)
        sent += 1
    return sent


async def idle_figures(server: ServerProcess, context: ssl.SSLContext, layer: str) -> list[Figure]:
    """What connections cost that do nothing, and how fast they come."""
    warm = await connect_all(20, server.port, context)
    before = [resident_kib(pid) for pid in (server.pid, os.getpid())]
    started = time.perf_counter()
    clients = await connect_all(IDLE_CONNECTIONS, server.port, context)
    elapsed = time.perf_counter() - started
    after = [resident_kib(pid) for pid in (server.pid, os.getpid())]
    for client in (*warm, *clients):
        client.abort()
    served, dialled = ((end - start) / IDLE_CONNECTIONS for start, end in zip(before, after, strict=True))
    figures = [
        Figure(name="server memory per idle connection", layer=layer, value=served, unit="KiB"),
        Figure(name="TLS handshake and log-in", layer=layer, value=IDLE_CONNECTIONS / elapsed, unit="connections/s"),
    ]
    if layer == LAYERS[0]:
        # Later layers would find the memory that the first one's clients have left behind.
        figures.append(Figure(name="client memory per idle connection", layer=layer, value=dialled, unit="KiB"))
    return figures


def codec_rate(work: Callable[[bytes], int]) -> float:
    """Packets a second of one core, for a read that holds 200 packets."""
    chunk = encode(Publish(topic=TOPIC, payload=PAYLOAD, qos=1, packet_id=7)) * 200
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < 1.0:
        done += work(chunk)
    return done / (time.perf_counter() - started)


def codec_figures() -> list[Figure]:
    decoder = Decoder()

    def decode(chunk: bytes) -> int:
        return len(decoder.feed(chunk))

    def answer(chunk: bytes) -> int:
        answered = [packet.packet_id for packet in decoder.feed(chunk) if isinstance(packet, Publish)]
        return len(encode_pubacks(answered)) // 4

    return [
        Figure(name="decode PUBLISH", layer="no I/O", value=codec_rate(decode), unit="packets/s"),
        Figure(name="decode PUBLISH, encode PUBACK", layer="no I/O", value=codec_rate(answer), unit="packets/s"),
    ]


async def layer_figures(folder: Path, context: ssl.SSLContext, layer: str) -> list[Figure]:
    with ServerProcess(folder, layer) as server:
        figures = await idle_figures(server, context, layer)
    with ServerProcess(folder, layer) as server:
        for in_flight in IN_FLIGHT:
            rate = await throughput(server.port, context, in_flight)
            name = f"QoS 1, {len(PAYLOAD)} B, {CONNECTIONS} connections, {in_flight} in flight"
            figures.append(Figure(name=name, layer=layer, value=rate, unit="messages/s"))
    return figures


async def measure(folder: Path) -> list[Figure]:
    authority = make_authority()
    authority.save(folder / "ca.pem", folder / "ca.key")
    issue_server_certificate(authority, ["localhost"], [HOST]).save(folder / "server.pem", folder / "server.key")
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    figures = codec_figures()
    for layer in LAYERS:
        figures += await layer_figures(folder, context, layer)
    return figures


def report(figures: list[Figure]) -> None:
    table = Table("measured", "TLS layer", "figure", "unit", title="MQTT transport, server in its own process")
    for figure in figures:
        table.add_row(figure.name, figure.layer, f"{figure.value:,.0f}", figure.unit)
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "system": platform.platform(), "openssl": ssl.OPENSSL_VERSION}
    RESULTS.write_text(json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=2))


def main(arguments: list[str]) -> None:
    serving = arguments[:1] == ["--serve"]
    loop_factory = None if serving and arguments[2] == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        if serving:
            runner.run(serve(Path(arguments[1]), arguments[2]))
            return
        with tempfile.TemporaryDirectory() as folder:
            report(runner.run(measure(Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
