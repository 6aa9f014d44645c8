"""One edge device: composes agent, edge hub, workload API, method gateway and control socket, in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from aiohttp import web

from iot_core.clock import Clock, SystemClock, iso
from iot_core.manifest.model import ModuleSpec
from local_edge.addresses import listening_socket, method_socket
from local_edge.agent import create_options
from local_edge.agent.agent import Agent
from local_edge.agent.methods import AgentMethods
from local_edge.agent.report import runtime_status
from local_edge.agent.supervisor import Supervisor
from local_edge.config import METHOD_PORTS, EdgeConfig
from local_edge.control_protocol import ModuleRow
from local_edge.control_server import ControlServer
from local_edge.edgehub.edge_hub import EdgeHub
from local_edge.edgehub.method_front import method_application
from local_edge.engines.base import LaunchSpec
from local_edge.engines.process import ProcessEngine
from local_edge.environment import module_environment
from local_edge.errors import AlreadyRunningError, EdgeError, EngineError
from local_edge.identities import Identities, RegistryClient
from local_edge.keys import KeyStore
from local_edge.tls_material import TlsMaterial, prepare_tls, upstream_context
from local_edge.upstream import UpstreamLink
from local_edge.workload import WorkloadServer, runtime_folder
from transport.certificates import write_private
from transport.store import Store
from transport.tls import ServerContext, tls_protocol_factory

__all__ = ["LocalEdge", "serve"]

AGENT = "$edgeAgent"
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 60.0
"""Between attempts to make the first identities."""

_log = logging.getLogger(__name__)


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
        lock = stack.enter_context(self._config.files.lock.open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"another edge runs in {home}: stop it, or choose another home") from None

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
        parts = _Parts(self._config, self._clock, folder=folder, store=store, material=material, upstream=upstream)
        parts.edge_hub.start()
        stack.push_async_callback(parts.edge_hub.stop)
        await _serve_mqtt(stack, parts.edge_hub, material, mqtt)
        await _serve_methods(stack, self._config.device_id, parts.edge_hub, material, methods)
        stack.push_async_callback(parts.workload.close_all)
        parts.start_agent(self.method_port)
        stack.push_async_callback(parts.stop_agent)
        await self._open_control(stack, parts, folder)

    async def _open_control(self, stack: contextlib.AsyncExitStack, parts: _Parts, folder: Path) -> None:
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


class _Parts:
    """The parts of a running edge and the threads between them."""

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        *,
        folder: Path,
        store: Store,
        material: TlsMaterial,
        upstream: ssl.SSLContext,
    ) -> None:
        self._config = config
        self._clock = clock
        self._started_at = clock.now()
        self._keys = KeyStore(config.files.identities)
        self._identities = Identities(RegistryClient(config, clock, upstream), self._keys)
        self.edge_hub = EdgeHub(config, store=store, keys=self._keys, clock=clock, tls=upstream)
        self.workload = WorkloadServer(
            folder,
            keys=self._keys,
            authority=material.authority,
            hub=config.hub_host,
            device=config.device_id,
            clock=clock,
            rows=self._details,
        )
        self._engine = ProcessEngine(config.images, home=config.home, host=config.host, clock=clock)
        self._supervisor = Supervisor(
            self._engine, prepare=self._prepare, release=self.workload.close, clock=clock, changed=self._changed
        )
        self._link = UpstreamLink(
            config.identity(AGENT),
            config=config,
            key=lambda: entry.key if (entry := self._keys.get(AGENT)) else None,
            clock=clock,
            tls=upstream,
            listener=self,
        )
        self._agent: Agent | None = None
        self._methods: AgentMethods | None = None
        self._task: asyncio.Task[None] | None = None

    def start_agent(self, method_port: int) -> None:
        """Start the agent's loop; modules come up as the deployment says."""
        for name in self._engine.end_leftovers():
            _log.warning("module %s was still running from an edge that was killed: ended", name)
        self._agent = Agent(
            link=self._link,
            supervisor=self._supervisor,
            engine=self._engine,
            sync_identities=self._sync_identities,
            own_ports={f"{port}/tcp": port for port in (self._config.mqtt_port, method_port)},
            rules=self._config.restart_rules,
            clock=self._clock,
            backup=self._config.files.deployment,
        )
        self._methods = AgentMethods(
            restart=self._agent.restart, names=lambda: self._supervisor.actual, engine=self._engine
        )
        self._task = asyncio.create_task(self._run_agent(self._agent), name="agent")

    async def stop_agent(self) -> None:
        """Stop the loop and every module, and tell the hub."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._agent is not None:
            await self._agent.close()
        await self._link.close()

    async def restart(self, name: str) -> None:
        """Restart a module by hand; EngineError for an unknown one."""
        if self._agent is None:
            raise EngineError("the agent is not running yet: try again")
        await self._agent.restart(name)

    def rows(self) -> list[ModuleRow]:
        """All modules with agent and hub, sorted by name."""
        own = [
            ModuleRow(name=name, status="running", image=f"edgeyard/{name}", since=self._started_at)
            for name in ("edgeAgent", "edgeHub")
        ]
        return sorted([*own, *self._module_rows()], key=lambda row: row.name)

    # -- the agent's link (upstream.LinkListener)

    def link_up(self) -> None:
        if self._agent is not None:
            self._agent.connected()

    def desired_patch(self, patch: dict[str, Any]) -> None:
        if self._agent is not None:
            self._agent.desired_patched(patch)

    async def method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        try:
            request = json.loads(payload or b"null")
        except ValueError:
            return 400, json.dumps({"message": "the payload is not JSON"}).encode()
        if self._methods is None:
            return 500, json.dumps({"message": "the agent is not running yet"}).encode()
        status, answer = await self._methods.call(name, request)
        return status, json.dumps(answer).encode()

    # -- inside

    async def _run_agent(self, agent: Agent) -> None:
        """The first identities are needed before the agent's own connection can be made."""
        await self._link.accept_methods(True)
        await self._first_identities()
        self._link.open()
        await self._link.settled()
        await agent.run()

    async def _first_identities(self) -> None:
        wanted = frozenset({AGENT, "$edgeHub"})
        pause_s = FIRST_PAUSE_S
        while not self._identities.known(wanted):
            try:
                await self._identities.ensure(wanted)
            except EdgeError as error:
                _log.warning("%s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LAST_PAUSE_S)

    async def _sync_identities(self, wanted: frozenset[str]) -> bool:
        if self._identities.known(wanted) and not self._link.is_up:
            return False
        for name in await self._identities.sync(wanted, keep=self.edge_hub.busy_modules()):
            self.edge_hub.forget(name)
        return True

    async def _prepare(self, module: ModuleSpec) -> LaunchSpec:
        key = self._keys.get(module.name)
        if key is None:
            raise EngineError(f"module {module.name} has no identity yet")
        await self.workload.open(module.name)
        variables = module_environment(
            module,
            hub=self._config.hub_host,
            device=self._config.device_id,
            gateway=self._config.host,
            generation=key.generation_id,
            workload_uri=self.workload.uri(module.name),
        )
        return LaunchSpec(
            name=module.name,
            image=module.image,
            arguments=tuple(create_options.arguments(module)),
            environment=variables,
            ports=self._engine.ports(module.image, create_options.published_ports(module)),
        )

    def _changed(self) -> None:
        if self._agent is not None:
            self._agent.wake()

    def _module_rows(self) -> list[ModuleRow]:
        now, rules = self._clock.now(), self._config.restart_rules
        return [
            ModuleRow(
                name=name,
                status=runtime_status(module.applied, module, now, rules),
                image=module.applied.image,
                since=module.started_at if module.phase == "running" else module.exited_at,
                exit_code=module.exit_code,
            )
            for name, module in self._supervisor.actual.items()
        ]

    def _details(self) -> list[dict[str, Any]]:
        """GET /modules of the workload API."""
        return [_detail(row) for row in self.rows()]


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


def _schema_file() -> Path:
    return Path(str(resources.files("local_edge.edgehub") / "schema_v1.sql"))


def _detail(row: ModuleRow) -> dict[str, Any]:
    status: dict[str, Any] = {"runtimeStatus": {"status": row.status}}
    if row.status == "running":
        status["startTime"] = iso(row.since)
    elif row.since:
        status["exitStatus"] = {"exitTime": iso(row.since), "statusCode": str(row.exit_code)}
    return {
        "id": row.name,
        "name": row.name,
        "type": "docker",
        "config": {"settings": {"image": row.image}, "env": []},
        "status": status,
    }
