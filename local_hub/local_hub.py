"""The local hub as one object: lock, ports, certificates, store, core and fronts, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from iot_core.clock import Clock, OffsetClock, SystemClock
from iot_core.errors import EdgeyardError
from local_hub.auth.permissions import DEFAULT_RIGHTS
from local_hub.auth.x509 import judged_at_login
from local_hub.config import HubConfig
from local_hub.controls.snapshots import CERTIFICATES, DATA, Snapshots, exchanged, fresh_data, recover
from local_hub.fronts.admin import AdminFront, new_token
from local_hub.fronts.admin_controls import Controls
from local_hub.fronts.deferred import DeferredAmqp, import_deferred
from local_hub.fronts.http import HttpFront
from local_hub.fronts.mqtt import MqttFront
from local_hub.fronts.websocket import AMQP, MQTT
from local_hub.home import HubHome, HubRunningError, write_json
from local_hub.hub import Hub
from local_hub.ports import AMQPS_PORT, HTTPS_PORT, http_socket, listening_socket, loopback_of, raise_file_limit
from local_hub.server_certificate import prepare_certificates
from transport.folder_lock import FolderLock, FolderLockedError
from transport.private_files import write_private
from transport.store import Store
from transport.store_writer import Writer
from transport.tls import ServerContext, tls_protocol_factory

__all__ = ["LocalHub", "serve"]

_log = logging.getLogger(__name__)


class LocalHub:
    """An IoT Hub in this process. One start and one stop; state lives in ``config.home / "hub"``.

    ``writer`` commits what the store is given, see ``transport.store_writer``.
    """

    def __init__(self, config: HubConfig, clock: Clock | None = None, *, writer: type[Writer] = Writer) -> None:
        self._config = config
        self._writer = writer
        self._clock = OffsetClock(clock or SystemClock())
        self._token_clock = OffsetClock(clock or SystemClock())
        self._home = HubHome(config.home)
        self._stack = contextlib.AsyncExitStack()
        # What serves now, and goes when the data is exchanged.
        self._serving = contextlib.AsyncExitStack()
        self._sockets: dict[str, socket.socket] = {}
        self._admin: AdminFront | None = None
        self.warnings: tuple[str, ...] = ()
        self.stop_requested = asyncio.Event()
        self._exchanging = asyncio.Lock()
        self.http_port = 0
        self.mqtt_port = 0
        self.amqp_port = 0
        self.admin_port = 0

    @property
    def host_name(self) -> str:
        """The host that device connection strings name."""
        return self._config.client_host

    @property
    def service_host_name(self) -> str:
        """The host that service connection strings name: with a port when HTTPS is not on 443."""
        return self.host_name if self.http_port == HTTPS_PORT else f"{self.host_name}:{self.http_port}"

    @property
    def ready_line(self) -> str:
        """What to print once ``start`` has returned."""
        return (
            f"hub ready on {self.host_name}: MQTT {self.mqtt_port}, HTTPS {self.http_port}, AMQP {self.amqp_port},"
            f" data in {self._home.folder}"
            f" (process {os.getpid()}; edgeyard hub env prints the variables for SDKs)"
        )

    async def start(self) -> None:
        """Take the data folder and the ports, then serve.

        InputError: another hub works in the folder, or a port is busy. StoreError: the database cannot be used.
        Whatever had been started by then is stopped again.
        """
        async with contextlib.AsyncExitStack() as stack:
            lock = self._take_folder()
            stack.callback(lock.release)
            recover(self._home)
            self._sockets = self._listen(stack)
            self._admin = AdminFront(new_token(self._home.admin_token), request_stop=self.stop_requested.set)
            stack.push_async_callback(self._close)
            await self._open(seed=self._config.seed)
            await _serve_front(stack, self._sockets["admin"], self._admin.protocol, self._admin.stop)
            stack.callback(self._home.running.unlink, missing_ok=True)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Close every connection, let what was accepted reach the disk, and give the folder back."""
        await self._stack.aclose()

    async def restore(self, name: str) -> None:
        """Go on with the data of a snapshot: every connection ends, the ports stay, the same process serves again.

        InputError: there is no such snapshot. StoreError: its data cannot be used; the hub goes on with what it had.
        """
        source = self._snapshots.folder(name)
        await self._exchange(source, DATA, seed=None)

    async def reset(self, *, keys: bool) -> None:
        """Go on as a new hub, seeded if a seed was given; certificates and the keys of policies are new only if wanted.

        Snapshots stay.
        """
        source = await fresh_data(self._home, Hub.schema(), keep_keys=not keys)
        try:
            await self._exchange(source, (*DATA, *CERTIFICATES) if keys else DATA, seed=self._config.seed)
        finally:
            shutil.rmtree(source, ignore_errors=True)

    @property
    def _snapshots(self) -> Snapshots:
        return Snapshots(self._home)

    async def _exchange(self, source: Path, names: Sequence[str], *, seed: Path | None) -> None:
        # In a task of its own: whoever asked may go away meanwhile.
        await asyncio.shield(asyncio.create_task(self._exchange_all(source, names, seed)))

    async def _exchange_all(self, source: Path, names: Sequence[str], seed: Path | None) -> None:
        async with self._exchanging:
            await self._close()
            # What start-up made was to stay, but goes now.
            gc.unfreeze()
            try:
                with exchanged(self._home, source, names):
                    await self._open(seed=seed)
            except EdgeyardError as error:
                _log.error("the hub's data was not exchanged: %s", error)
                await self._open(seed=None)
                raise

    async def _open(self, *, seed: Path | None) -> None:
        """Serve what the folder holds now, and the seed; InputError, StoreError."""
        async with contextlib.AsyncExitStack() as stack:
            prepare_certificates(self._home, (*self._config.host_names, "::1"))
            hub = await self._start_hub(stack)
            if seed is not None:
                from local_hub.controls.seed import sow  # its models take a tenth of a second, and few hubs have a seed

                await sow(hub, seed)
            await self._start_fronts(stack, hub, self._sockets)
            self._write_files(hub)
            if self._admin is not None:
                self._admin.attach(hub, self._controls(), lambda: self._status(hub))
                stack.push_async_callback(self._admin.detach)
            self._serving = stack.pop_all()

    async def _close(self) -> None:
        """Serve no more; the ports stay open."""
        await self._serving.aclose()

    def _controls(self) -> Controls:
        return Controls(
            clock=self._clock,
            token_clock=self._token_clock,
            snapshots=self._snapshots,
            restore=self.restore,
            reset=lambda keys: self.reset(keys=keys),
        )

    def _take_folder(self) -> FolderLock:
        self._home.create()
        lock = FolderLock(self._home.lock)
        try:
            lock.acquire()
        except FolderLockedError as error:
            raise HubRunningError(
                f"a hub already runs on {self._config.home} (process {error.holder}): stop it, or give another --home"
            ) from None
        return lock

    def _listen(self, stack: contextlib.AsyncExitStack) -> dict[str, socket.socket]:
        host = self._config.host
        sockets = {"mqtt": stack.enter_context(listening_socket(host, self._config.mqtt_port, "MQTT"))}
        sockets["http"] = stack.enter_context(http_socket(host, self._config.http_port))
        sockets["amqp"] = stack.enter_context(listening_socket(host, self._config.amqp_port, "AMQP"))
        if self._config.eventhub_plain_port is not None:
            plain = listening_socket(host, self._config.eventhub_plain_port, "AMQP without TLS")
            sockets["eventhub_plain"] = stack.enter_context(plain)
        sockets["admin"] = stack.enter_context(
            listening_socket(loopback_of(host), self._config.admin_port, "the admin door")
        )
        self.mqtt_port, self.http_port, self.amqp_port, self.admin_port = (
            sockets[name].getsockname()[1] for name in ("mqtt", "http", "amqp", "admin")
        )
        self.warnings = tuple(filter(None, (raise_file_limit(), self._port_warning())))
        return sockets

    def _port_warning(self) -> str | None:
        if self._config.http_port is not None or self.http_port == HTTPS_PORT:
            return None
        return (
            f"HTTPS is on {self.http_port}: clients over WebSockets and Node's service SDK need 443 "
            "(sudo sysctl net.ipv4.ip_unprivileged_port_start=443 allows it)"
        )

    async def _start_hub(self, stack: contextlib.AsyncExitStack) -> Hub:
        store = Store.open(
            self._home.database, schema=Hub.schema(), durability=self._config.durability, writer=self._writer
        )
        stack.push_async_callback(store.close)
        hub = Hub(store, self._clock, self._config, self._token_clock)
        hub.files.service_host = self.service_host_name
        await hub.start()
        stack.push_async_callback(hub.stop)
        return hub

    async def _start_fronts(
        self, stack: contextlib.AsyncExitStack, hub: Hub, sockets: dict[str, socket.socket]
    ) -> None:
        context = ServerContext(self._home.certificate, self._home.key, judged_at_login)
        mqtt = MqttFront(hub)
        amqp = DeferredAmqp(hub)
        http = HttpFront(hub, {MQTT: mqtt.protocol, AMQP: amqp.protocol})
        factories = {
            "mqtt": (tls_protocol_factory(context, mqtt.protocol), mqtt.stop),
            "http": (tls_protocol_factory(context, http.protocol), http.stop),
            "amqp": (tls_protocol_factory(context, amqp.protocol), amqp.stop),
            "eventhub_plain": (amqp.protocol, amqp.stop),
        }
        for name, front in factories.items():
            if name in sockets:
                await _serve_front(stack, sockets[name], *front)

    def _status(self, hub: Hub) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "host": self._config.host,
            "mqttPort": self.mqtt_port,
            "httpPort": self.http_port,
            "amqpPort": self.amqp_port,
            "home": str(self._config.home.resolve()),
            "connectedDeviceCount": hub.sessions.connected_count,
            **hub.registry.statistics(),
        }

    def _write_files(self, hub: Hub) -> None:
        for policy in DEFAULT_RIGHTS:
            text = hub.policies.connection_string(self.service_host_name, policy)
            write_private(self._home.policy_connection_string(policy), f"{text}\n".encode("ascii"), durable=False)
        endpoint = self.host_name if self.amqp_port == AMQPS_PORT else f"{self.host_name}:{self.amqp_port}"
        eventhub = hub.policies.eventhub_connection_string(endpoint, "service", hub.event_hub.name)
        write_private(self._home.eventhub_connection_string, f"{eventhub}\n".encode("ascii"), durable=False)
        self._home.storage_connection_string.unlink(missing_ok=True)
        if storage := hub.files.connection_string(self.service_host_name):
            write_private(self._home.storage_connection_string, f"{storage}\n".encode("ascii"), durable=False)
        provisioning = {
            "host": self.host_name,
            "id_scope": hub.provisioning.identity.id_scope,
            "connection_string": hub.provisioning.identity.connection_string(self.service_host_name),
        }
        write_json(self._home.provisioning, {"version": 1, **provisioning}, durable=False)
        where = {
            "host": self._config.host,
            "mqtt_port": self.mqtt_port,
            "http_port": self.http_port,
            "amqp_port": self.amqp_port,
        }
        write_json(self._home.config, {"version": 1, **where}, durable=False)
        running = {
            "pid": os.getpid(),
            **where,
            "admin_host": loopback_of(self._config.host),
            "admin_port": self.admin_port,
        }
        write_json(self._home.running, running, durable=False)


async def _serve_front(
    stack: contextlib.AsyncExitStack,
    listener: socket.socket,
    factory: Callable[[], asyncio.BaseProtocol],
    stop: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Accept connections until the stack unwinds: then no new ones, and the front ends those it has."""
    # A copy, since the server closes what it is given, and the port may be needed again.
    server = await asyncio.get_running_loop().create_server(factory, sock=listener.dup())
    stack.push_async_callback(stop)
    stack.callback(server.close)


def serve(config: HubConfig, *, announce: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Run a hub until SIGTERM, SIGINT or the admin door asks it to stop; ``announce`` gets the ready line."""
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(config, announce, warn))


async def _serve(config: HubConfig, announce: Callable[[str], None], warn: Callable[[str], None]) -> None:
    hub = LocalHub(config)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, hub.stop_requested.set)
    await hub.start()
    try:
        for warning in hub.warnings:
            warn(f"warning: {warning}")
        announce(hub.ready_line)
        await import_deferred()
        # What start-up made stays: collections need not look at it again and again.
        gc.freeze()
        await hub.stop_requested.wait()
    finally:
        await hub.stop()
