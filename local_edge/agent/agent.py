"""The agent's loop: desired properties → deployment → identities → plan → engine → report.

It wakes when a desired patch comes, when a module ends, when a restart is due, and every few seconds to be sure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from iot_core.twin import merge_patch
from local_edge.agent import create_options
from local_edge.agent.deployment import Deployment, parse_deployment
from local_edge.agent.plan import next_due, plan
from local_edge.agent.report import AgentState, DesiredStatus, reported_properties
from local_edge.agent.restart import RestartRules
from local_edge.agent.supervisor import Supervisor
from local_edge.difference import difference
from local_edge.engines.base import Engine
from local_edge.errors import DeploymentError, EdgeError, EngineError, UpstreamError
from transport.private_files import write_private

__all__ = ["Agent", "AgentLink"]

PERIOD_S = 5.0
"""The real agent's reconcile period."""
STOPPED_CODE = 406

_log = logging.getLogger(__name__)


SyncIdentities = Callable[[frozenset[str]], Awaitable[bool]]
"""Make the registry hold these module identities; False when that has to wait but their keys are known already."""


class AgentLink(Protocol):
    """The agent's connection to the hub; UpstreamError when the hub is away."""

    async def get_twin(self) -> dict[str, Any]: ...

    async def patch_reported(self, patch: dict[str, Any]) -> int: ...


class Agent:
    """Keeps the modules of one edge device as `$edgeAgent` wants them."""

    def __init__(
        self,
        *,
        link: AgentLink,
        supervisor: Supervisor,
        engine: Engine,
        sync_identities: SyncIdentities,
        own_ports: dict[str, int],
        rules: RestartRules,
        clock: Clock,
        backup: Path,
    ) -> None:
        self._link = link
        self._supervisor = supervisor
        self._engine = engine
        self._sync_identities = sync_identities
        self._own_ports = own_ports
        self._rules = rules
        self._clock = clock
        self._backup = backup
        self._desired: dict[str, Any] | None = None
        self._deployment: Deployment | None = None
        self._status = DesiredStatus()
        self._synced: frozenset[str] | None = None
        self._reported: dict[str, Any] | None = None
        self._refresh = True
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._started_at = clock.now()

    @property
    def deployment(self) -> Deployment | None:
        """The deployment being run."""
        return self._deployment

    @property
    def status(self) -> DesiredStatus:
        """What became of the last desired properties."""
        return self._status

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    def connected(self) -> None:
        """The link is up (again): desired patches may have been missed."""
        self._refresh = True
        self._synced = None
        self.wake()

    def desired_patched(self, patch: dict[str, Any]) -> None:
        """A desired patch came; one that does not follow on the version at hand causes a whole read."""
        version = int(patch.get("$version", 0))
        known = int((self._desired or {}).get("$version", 0))
        if self._desired is None or version > known + 1:
            self._refresh = True
        elif version == known + 1:
            self._desired = merge_patch(self._desired, patch)
        self.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.reconcile()
            except EdgeyardError as error:
                _log.warning("the agent tries again: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()

    async def reconcile(self) -> None:
        """One round: read, plan, run, report."""
        async with self._busy:
            await self._read()
            deployment = self._accept()
            if deployment is not None:
                await self._apply(deployment)
            await self._report()

    async def restart(self, name: str) -> None:
        """Restart one module by hand; EngineError for an unknown one. The plan does not run meanwhile."""
        async with self._busy:
            await self._supervisor.restart(name)
        self.wake()

    async def close(self) -> None:
        """Stop every module and tell the hub that the agent no longer runs."""
        await self._supervisor.close()
        self._status = DesiredStatus(version=self._status.version, code=STOPPED_CODE, description="the edge is stopped")
        with contextlib.suppress(EdgeError, TimeoutError):
            async with asyncio.timeout(2):
                await self._report()

    def state(self) -> AgentState:
        """What would be reported now."""
        return AgentState(
            status=self._status,
            deployment=self._deployment,
            actual=self._supervisor.actual,
            started_at=self._started_at,
            now=self._clock.now(),
            rules=self._rules,
        )

    async def _read(self) -> None:
        """The whole twin when it may have changed unseen; the copy on disk while the hub is away."""
        if not self._refresh:
            return
        try:
            twin = await self._link.get_twin()
        except UpstreamError as error:
            if self._desired is None:
                _log.warning("%s; the last deployment on disk is used", error)
                self._desired = _load(self._backup)
            return
        self._desired = dict(twin.get("desired") or {})
        self._reported = _without_version(twin.get("reported") or {})
        self._refresh = False

    def _accept(self) -> Deployment | None:
        """The deployment to run: the wanted one, or the last good one when the wanted one is refused."""
        if self._desired is None:
            return None
        version = int(self._desired.get("$version", 0))
        try:
            deployment = parse_deployment(self._desired)
            self._check_ports(deployment)
        except DeploymentError as error:
            if self._status.code != error.code or self._status.version != version:
                _log.error("deployment %d is refused: %s", version, error)
            self._status = DesiredStatus(version=version, code=error.code, description=str(error))
            return self._deployment
        self._status = DesiredStatus(version=version, code=200, description="")
        if self._deployment is None or deployment.version != self._deployment.version:
            write_private(self._backup, json.dumps(self._desired).encode())
        self._deployment = deployment
        return deployment

    async def _apply(self, deployment: Deployment) -> None:
        try:
            await self._ensure_identities(deployment)
        except EdgeError as error:
            self._status = DesiredStatus(version=self._status.version, code=500, description=str(error))
            return
        wanted, actual = deployment.modules, self._supervisor.actual
        await self._supervisor.run(plan(wanted, actual, now=self._clock.now(), rules=self._rules))
        if self._supervisor.errors and self._status.code == 200:
            text = "; ".join(self._supervisor.errors[name] for name in sorted(self._supervisor.errors))
            self._status = DesiredStatus(version=self._status.version, code=500, description=text)

    async def _ensure_identities(self, deployment: Deployment) -> None:
        if self._synced != deployment.identities and await self._sync_identities(deployment.identities):
            self._synced = deployment.identities

    def _check_ports(self, deployment: Deployment) -> None:
        bound = [("edgeHub", self._own_ports)]
        for module in deployment.modules.values():
            published = create_options.published_ports(module)
            create_options.environment(module)
            create_options.arguments(module)
            if module.status == "running":
                bound.append((module.name, self._engine_ports(module.image, published)))
        clash = create_options.port_clash(bound)
        if clash:
            raise DeploymentError(clash)

    def _engine_ports(self, image: str, published: dict[str, int]) -> dict[str, int]:
        # An image that the engine does not know is that module's own failure, told when it shall start.
        with contextlib.suppress(EngineError):
            return dict(self._engine.ports(image, published))
        return published

    async def _report(self) -> None:
        if self._reported is None:
            return
        document = reported_properties(self.state())
        patch = difference(self._reported, document)
        if patch:
            await self._link.patch_reported(patch)
            self._reported = document

    def _pause_s(self) -> float:
        if self._deployment is None:
            return PERIOD_S
        now = self._clock.now()
        due = next_due(self._deployment.modules, self._supervisor.actual, now=now, rules=self._rules)
        return PERIOD_S if due is None else min(PERIOD_S, max(due - now, 0.0))


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _without_version(section: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if not key.startswith("$")}
