"""The seam between the agent and what runs modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Engine", "ExitListener", "LaunchSpec", "ModuleExit"]


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """All that an engine needs to start a module.

    `ports` maps container ports ("5001/tcp") to host ports; `environment` is the module's whole own environment.
    """

    name: str
    image: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModuleExit:
    """A module ended by itself: exit code (128 + signal number when a signal ended it) and unix seconds."""

    name: str
    exit_code: int
    at: float


ExitListener = Callable[[ModuleExit], None]


class Engine(Protocol):
    """Starts and stops modules by name; one name runs at most once.

    `on_exit` is called in the event loop, once for every module that ended without `stop` having been called.
    """

    on_exit: ExitListener

    def ports(self, image: str, bound: Mapping[str, int]) -> Mapping[str, int]:
        """The host ports a module of `image` will take, given its port bindings; EngineError for an unknown image."""
        ...

    async def start(self, spec: LaunchSpec) -> None:
        """Start the module; EngineError when that is not possible."""
        ...

    async def stop(self, name: str) -> None:
        """Stop the module and wait until it is gone; nothing happens when it does not run."""
        ...

    async def logs(self, name: str, tail: int | None = None) -> str:
        """The last `tail` lines (all that are kept when None) of what the module printed."""
        ...

    async def close(self) -> None:
        """Stop every module, all at once."""
        ...
