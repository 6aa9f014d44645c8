"""The demo's deployment: the stack of deployments/, previewed and applied as `edgeyard up` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeyard.demo.processes import DemoError
from hub_tools.service import HubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.opening import open_stack
from hub_tools.stacks.preview import Preview
from hub_tools.stacks.secrets import value_of
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.waiting import WaitReport
from iot_core.identity import Identity

__all__ = ["STACK_FILE", "Deployed", "deploy"]

STACK_FILE = Path("deployments/stack.py")
ENVIRONMENT = "demo"
TAGS = {"environment": ENVIRONMENT, "texts": True, "temperatures": True}
"""By which the stack's base and two of its layers find the demo's edge device."""
SYSTEM_MODULES = frozenset({"edgeAgent", "edgeHub"})


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """Ids of the deployments that the device has, base first, and the names of the modules that they bring."""

    applied: tuple[str, ...]
    modules: frozenset[str]


async def deploy(service: HubService, device_id: str, *, project: Path, home: Path) -> Deployed:
    """Tags a device that was never seen and applies the stack, so that it finds its modules when it comes.

    Raises DemoError when the stack would not change it; what `Applier.up` raises.
    """
    await service.patch_twin(Identity(device_id), {"tags": TAGS})
    opened = open_stack(project / STACK_FILE, ENVIRONMENT, home=home)
    # The demo must not depend on what the environment says.
    values = value_of(opened.environment, opened.file.parent, variables={})
    with StackFolder(home, opened.name, opened.environment.name) as folder:
        applier = Applier(
            service=service,
            folder=folder,
            stack=opened.name,
            environment=opened.environment.name,
            value_of=values,
            watcher=_Quiet(),
            checks=opened.checks,
        )
        result = await applier.up(opened.stack.items)
    return _deployed(result.preview, device_id)


def _deployed(preview: Preview, device_id: str) -> Deployed:
    for item in preview.classes:
        if device_id in item.devices and item.after:
            brought = {change.name for change in item.difference.modules if change.fate == "added"}
            return Deployed(applied=item.after, modules=frozenset(brought - SYSTEM_MODULES))
    raise DemoError(f"the stack {preview.stack} has nothing for {device_id}")


class _Quiet:
    """Agrees to everything on the demo's own hub."""

    async def agrees(self, question: str) -> bool:
        return True

    def previewed(self, preview: Preview) -> None: ...

    def step(self, text: str) -> None: ...

    def waits(self, report: WaitReport) -> None: ...

    def note(self, text: str) -> None: ...
