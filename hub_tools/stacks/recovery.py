"""What is left of an `up` that ended in the middle, by a crash or on another machine: finished, or taken back."""

from __future__ import annotations

from collections.abc import Sequence

from hub_tools.service import HubService
from hub_tools.stacks.operations import back_out, commit, delete, is_carried
from hub_tools.stacks.ownership import REPLACES, Owned, is_on_trial, owned_by
from hub_tools.stacks.state import Journal
from iot_core.json_types import JsonObject

__all__ = ["needs_recovery", "recover"]


def needs_recovery(journal: Journal, stack: str, environment: str, configurations: Sequence[JsonObject]) -> bool:
    """Whether an operation is under way here, or the hub holds what one without a trace here has left."""
    return journal.state.operation is not None or bool(_left_over(stack, environment, configurations))


async def recover(
    journal: Journal, service: HubService, stack: str, environment: str, configurations: Sequence[JsonObject]
) -> str:
    """Finish or take back what is left, and say which in a sentence.

    The local state knows how far it came. Where that is lost the labels tell: while what is to be replaced is all
    there, nothing is lost by taking the new back. Otherwise it stays, and the next preview has it settled.
    """
    operation = journal.state.operation
    if operation is not None and operation.phase == "commit" and not await is_carried(service, operation):
        journal.change(operation=None)
        return "an interrupted change was taken back by another operator meanwhile"
    if operation is not None and operation.phase == "commit":
        await commit(journal, service, operation)
        return f"an interrupted change was finished: version {operation.version} is in force"
    if operation is not None:
        await back_out(journal, service, operation)
        return f"an interrupted change was taken back (it was about to: {operation.step})"
    left = _left_over(stack, environment, configurations)
    for item in left:
        await delete(service, item.id)
    return f"an interrupted change of another machine was taken back: {', '.join(item.id for item in left)}"


def _left_over(stack: str, environment: str, configurations: Sequence[JsonObject]) -> list[Owned]:
    """What is on trial, while everything that it is to replace is still there."""
    present = {str(item["id"]) for item in configurations}
    versions = owned_by(stack, environment, configurations).values()
    trials = [item for group in versions for item in group if is_on_trial(item.configuration)]
    replaced = {item.configuration["labels"].get(REPLACES) for item in trials} - {None}
    return trials if replaced <= present else []
