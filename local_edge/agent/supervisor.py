"""The modules that this edge knows, and the one place where their state changes.

| event              | from             | to                                          |
|--------------------|------------------|---------------------------------------------|
| Create             | any              | stopped, then started if it shall run       |
| Start, Restart     | stopped, exited  | running; exited when the engine cannot      |
| Stop               | running          | stopped                                     |
| the module ends    | running          | exited                                      |
| Remove             | any              | unknown                                     |
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from iot_core.manifest.model import ModuleSpec
from local_edge.agent.plan import Action, ActualModule, Create, Forgive, Remove, Restart, Start, Stop
from local_edge.engines.base import Engine, LaunchSpec, ModuleExit
from local_edge.errors import EngineError

__all__ = ["Prepare", "Release", "Supervisor"]

Prepare = Callable[[ModuleSpec], Awaitable[LaunchSpec]]
"""Makes all that a module needs to start (its workload socket, its environment)."""

Release = Callable[[str], Awaitable[None]]
"""Takes back what `Prepare` made, once the module is removed."""

CANNOT_START = 125
"""Exit code of a module that did not come up, as `docker run` gives when a container cannot be made."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs actions of the plan on an engine; `changed` is called after a module ended by itself."""

    def __init__(
        self, engine: Engine, *, prepare: Prepare, release: Release, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._prepare = prepare
        self._release = release
        self._clock = clock
        self._changed = changed
        self._modules: dict[str, ActualModule] = {}
        self.errors: dict[str, str] = {}
        engine.on_exit = self._exited

    @property
    def actual(self) -> dict[str, ActualModule]:
        """The state of every known module, by name."""
        return dict(self._modules)

    async def run(self, actions: Sequence[Action]) -> None:
        """Run `actions` in order; what fails is noted in `errors` and does not keep the others from running."""
        for action in actions:
            try:
                await self._run(action)
            except EdgeyardError as error:
                self._failed(action.name, str(error))

    async def restart(self, name: str) -> None:
        """Stop and start a module by hand, which also forgives earlier restarts; EngineError for an unknown one."""
        if name not in self._modules:
            raise EngineError(f"no module {name} on this edge")
        await self._engine.stop(name)
        self._update(name, phase="stopped", restarts=0)
        await self.run([Start(name=name)])

    async def close(self) -> None:
        """Stop every module."""
        await self._engine.close()
        for name, module in self._modules.items():
            if module.phase == "running":
                self._update(name, phase="stopped", exited_at=self._clock.now())

    async def _run(self, action: Action) -> None:
        match action:
            case Create(module=module):
                await self._create(module)
            case Start(name=name):
                await self._start(name)
            case Restart(name=name):
                _log.info("module %s is started again (restart %d)", name, self._modules[name].restarts + 1)
                self._update(name, restarts=self._modules[name].restarts + 1, last_restart_at=self._clock.now())
                await self._start(name)
            case Stop(name=name):
                await self._engine.stop(name)
                self._update(name, phase="stopped", exit_code=0, exited_at=self._clock.now())
            case Forgive(name=name):
                self._update(name, restarts=0)
            case Remove(name=name):
                await self._remove(name)

    async def _create(self, module: ModuleSpec) -> None:
        await self._engine.stop(module.name)
        self._modules[module.name] = ActualModule(applied=module, phase="stopped")
        self.errors.pop(module.name, None)
        if module.status == "running":
            await self._start(module.name)

    async def _start(self, name: str) -> None:
        spec = await self._prepare(self._modules[name].applied)
        await self._engine.start(spec)
        self.errors.pop(name, None)
        self._update(name, phase="running", started_at=self._clock.now())
        _log.info("module %s runs", name)

    async def _remove(self, name: str) -> None:
        await self._engine.stop(name)
        await self._release(name)
        self._modules.pop(name, None)
        self.errors.pop(name, None)
        _log.info("module %s is removed", name)

    def _failed(self, name: str, text: str) -> None:
        _log.error("%s", text)
        self.errors[name] = text
        if name in self._modules:
            self._update(name, phase="exited", exit_code=CANNOT_START, exited_at=self._clock.now())

    def _exited(self, end: ModuleExit) -> None:
        _log.info("module %s ended with exit code %d", end.name, end.exit_code)
        if end.name in self._modules:
            self._update(end.name, phase="exited", exit_code=end.exit_code, exited_at=end.at)
            self._changed()

    def _update(self, name: str, **changes: object) -> None:
        self._modules[name] = replace(self._modules[name], **changes)  # type: ignore[arg-type]
