"""One edge device: composes agent, edge hub, workload API, method gateway and control socket, in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from aiohttp import web

from iot_core.clock import Clock, SystemClock
from local_edge.addresses import listening_socket, method_socket
from local_edge.config import METHOD_PORTS, EdgeConfig
from local_edge.control_server import ControlServer
from local_edge.edgehub.edge_hub import EdgeHub
from local_edge.edgehub.method_front import method_application
from local_edge.errors import AlreadyRunningError
from local_edge.parts import Parts
from local_edge.tls_material import TlsMaterial, prepare_tls, upstream_context
from local_edge.workload import RUNTIME_PREFIX, runtime_folder
from transport.folder_lock import FolderLock, FolderLockedError
from transport.private_files import write_private
from transport.store import Store
from transport.tls import ServerContext, tls_protocol_factory

__all__ = ["LocalEdge", "serve"]


class LocalEdge:
    """One start and one stop; state lies in `config.home`."""

    def __init__(self, config: EdgeConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._stack = contextlib.AsyncExitStack()
        self.stop_requested = asyncio.Event()
        self.warnings: tuple[str, ...] = ()
        self.method_port = 0

    @property
    def ready_line(self) -> str:
        """What to print once `start` has returned."""
        config = self._config
        return (
            f"edge ready on {config.host}: device {config.device_id} of {config.hub_host}, MQTT {config.mqtt_port}, "
            f"methods {self.method_port}, data in {config.home} (process {os.getpid()})"
        )

    async def start(self) -> None:
        """Take the home and the ports, then serve; the hub need not be there.

        AlreadyRunningError, AddressError, StoreError, EdgeSettingsError; what had been started is stopped again.
        """
        async with contextlib.AsyncExitStack() as stack:
            self._take_home(stack)
            mqtt = stack.enter_context(listening_socket(self._config.host, self._config.mqtt_port))
            methods = stack.enter_context(method_socket(self._config.host, self._config.method_port))
            self._note_ports(methods)
            material, upstream = prepare_tls(self._config), upstream_context(self._config.ca_file)
            await self._compose(stack, material, upstream, mqtt, methods)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop the modules, then everything else in the reverse order of the start."""
        await self._stack.aclose()

    def _take_home(self, stack: contextlib.AsyncExitStack) -> None:
        home = self._config.home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FolderLock(self._config.files.lock)
        try:
            lock.acquire()
        except FolderLockedError as error:
            raise AlreadyRunningError(
                f"another edge runs in {home} (process {error.holder}): stop it, or choose another home"
            ) from None
        stack.callback(lock.release)
        _remove_old_sockets(self._config.files.running)

    def _note_ports(self, methods: socket.socket) -> None:
        self.method_port = methods.getsockname()[1]
        if self._config.method_port is None and self.method_port != METHOD_PORTS[0]:
            self.warnings = (
                f"method calls between modules are on {self.method_port}: the SDKs' invoke_method reaches 443 only "
                "(sudo sysctl net.ipv4.ip_unprivileged_port_start=443 allows it)",
            )

    async def _compose(
        self,
        stack: contextlib.AsyncExitStack,
        material: TlsMaterial,
        upstream: ssl.SSLContext,
        mqtt: socket.socket,
        methods: socket.socket,
    ) -> None:
        folder = runtime_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        store = Store.open(self._config.files.database, schema=[_schema_file()], durability=self._config.durability)
        stack.push_async_callback(store.close)
        parts = Parts(self._config, self._clock, folder=folder, store=store, material=material, upstream=upstream)
        parts.edge_hub.start()
        stack.push_async_callback(parts.edge_hub.stop)
        await _serve_mqtt(stack, parts.edge_hub, material, mqtt)
        await _serve_methods(stack, self._config.device_id, parts.edge_hub, material, methods)
        stack.push_async_callback(parts.workload.close_all)
        parts.start_agent(self.method_port)
        stack.push_async_callback(parts.stop_agent)
        await self._open_control(stack, parts, folder)

    async def _open_control(self, stack: contextlib.AsyncExitStack, parts: Parts, folder: Path) -> None:
        control = ControlServer(
            folder / "control.sock", rows=parts.rows, restart=parts.restart, stop=self.stop_requested.set
        )
        await control.start()
        stack.push_async_callback(control.close)
        running = {
            "pid": os.getpid(),
            "host": self._config.host,
            "mqtt_port": self._config.mqtt_port,
            "method_port": self.method_port,
            "control": str(folder / "control.sock"),
        }
        write_private(self._config.files.running, json.dumps(running).encode())
        stack.callback(self._config.files.running.unlink, missing_ok=True)


def serve(config: EdgeConfig, *, announce: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Run an edge until SIGTERM, SIGINT or the control socket asks it to stop; `announce` gets the ready line."""
    asyncio.run(_serve(config, announce, warn))


async def _serve(config: EdgeConfig, announce: Callable[[str], None], warn: Callable[[str], None]) -> None:
    edge = LocalEdge(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, edge.stop_requested.set)
    await edge.start()
    try:
        for warning in edge.warnings:
            warn(f"warning: {warning}")
        announce(edge.ready_line)
        await edge.stop_requested.wait()
    finally:
        await edge.stop()


async def _serve_mqtt(
    stack: contextlib.AsyncExitStack, edge_hub: EdgeHub, material: TlsMaterial, listener: socket.socket
) -> None:
    context = ServerContext(material.certificate_path, material.key_path)
    factory = tls_protocol_factory(context, edge_hub.front.protocol)
    server = await asyncio.get_running_loop().create_server(factory, sock=listener)
    stack.callback(server.close)


async def _serve_methods(
    stack: contextlib.AsyncExitStack, device: str, edge_hub: EdgeHub, material: TlsMaterial, listener: socket.socket
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(material.certificate_path, material.key_path)
    application = method_application(device=device, login=edge_hub.login, methods=edge_hub.methods)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, ssl_context=context).start()


def _remove_old_sockets(running: Path) -> None:
    """The run-time folder of an edge that was killed in this home; the lock says that it is gone."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        folder = Path(json.loads(running.read_text(encoding="utf-8"))["control"]).parent
        if folder.name.startswith(RUNTIME_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)


def _schema_file() -> Path:
    return Path(str(resources.files("local_edge.edgehub") / "schema_v1.sql"))
