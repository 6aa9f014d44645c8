"""Taking a stack down: every configuration that bears its labels goes, and nothing else.

Devices keep the modules that they have; IoT Hub takes nothing off a device when its last deployment goes.
"""

from __future__ import annotations

from hub_tools.stacks.apply import Applier
from hub_tools.stacks.lease import leased
from hub_tools.stacks.operations import delete
from hub_tools.stacks.ownership import Owned, owned_by

__all__ = ["destroy"]


async def destroy(applier: Applier) -> tuple[str, ...] | None:
    """The ids of what was removed, layers first; None when the user said no. Raises LeaseHeldError, LeaseLostError.

    Interrupted, it is begun again by the next call: what is gone is gone.
    """
    journal = applier.open_journal()
    found = await _owned(applier)
    if found:
        ids = ", ".join(item.id for item in found)
        if not await applier.watcher.agrees(f"delete {ids}"):
            return None
        async with leased(applier.make_lease(journal)) as lease:
            for item in found:
                lease.check()
                applier.watcher.step(f"delete {item.id}")
                await delete(applier.service, item.id)
    journal.change(operation=None, current=None)
    return tuple(item.id for item in found)


async def _owned(applier: Applier) -> list[Owned]:
    configurations = await applier.service.list_configurations()
    groups = owned_by(applier.stack, applier.environment, configurations).values()
    found = [item for group in groups for item in group]
    return sorted(found, key=lambda item: -int(item.configuration.get("priority") or 0))
