"""The parts of a running edge, with all that one part needs of another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from pathlib import Path
from typing import Any

from iot_core.clock import Clock, iso
from iot_core.manifest.model import ModuleSpec
from local_edge.agent import create_options
from local_edge.agent.agent import Agent
from local_edge.agent.methods import AgentMethods
from local_edge.agent.report import runtime_status
from local_edge.agent.supervisor import Supervisor
from local_edge.config import EdgeConfig
from local_edge.control_protocol import ModuleRow
from local_edge.edgehub.edge_hub import EdgeHub
from local_edge.engines.base import LaunchSpec
from local_edge.engines.process import ProcessEngine
from local_edge.environment import module_environment
from local_edge.errors import EdgeError, EngineError
from local_edge.identities import Identities, RegistryClient
from local_edge.keys import KeyStore
from local_edge.tls_material import TlsMaterial
from local_edge.upstream import UpstreamLink
from local_edge.workload import WorkloadServer
from transport.store import Store

__all__ = ["Parts"]

AGENT = "$edgeAgent"
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 60.0
"""Between attempts to make the first identities."""

_log = logging.getLogger(__name__)


class Parts:
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
