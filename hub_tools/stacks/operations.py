"""What an `up` does to the hub, as a list made before the first step; and each of those steps, safe to do twice.

On trial, new configurations come beside the old and others are changed in place; both can be taken back. From commit on
the old ones go and the new ones are settled, which nothing takes back: it is carried to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hub_tools.manifests import Deployment, Layer
from hub_tools.service import HubService
from hub_tools.stacks.ownership import REPLACES, TRIAL, is_on_trial
from hub_tools.stacks.preview import ConfigurationChange
from hub_tools.stacks.state import Amendment, Journal, Operation, Settlement
from iot_core.errors import HubError
from iot_core.json_types import JsonObject

__all__ = ["Bodies", "amend", "back_out", "bodies_of", "commit", "delete", "is_carried", "planned", "try_out"]

Bodies = Mapping[str, JsonObject]
"""What to put for each new configuration, by id, with the values of secrets in it; never stored."""

CHANGEABLE = ("targetCondition", "priority", "labels", "metrics")
KEPT = ("schemaVersion", "content")
GONE, EXISTS = 404, 409
SETTLED = ""


def planned(changes: Sequence[ConfigurationChange], version: int, token: str) -> Operation:
    """The steps that make these changes, in an order in which no device loses a layer on the way."""
    new = [change.new for change in changes if change.action in ("create", "replace") and change.new]
    # Layers before their base: a device that gets its base then gets all of it at once.
    new.sort(key=lambda body: -int(body["priority"]))
    old = [change.old for change in changes if change.action in ("replace", "delete") and change.old]
    old.sort(key=lambda body: -int(body.get("priority") or 0))
    kept = [change for change in changes if change.action == "update"]
    updates = [(change.old, change.new) for change in kept if change.old and change.new]
    amendments = [found for one, other in updates if (found := _amendment(one, other)).before != found.after]
    settled = [*new, *(body for _, body in updates)]
    return Operation(
        token=token,
        version=version,
        phase="trial",
        creations=tuple(str(body["id"]) for body in new),
        amendments=tuple(sorted(amendments, key=lambda amendment: -int(amendment.after["priority"]))),
        deletions=tuple(str(body["id"]) for body in old),
        settlements=tuple(
            Settlement(id=body["id"], fields=_fields(body, "priority", "labels"))
            for body in sorted(settled, key=lambda body: int(body["priority"]))
        ),
    )


def _amendment(old: JsonObject, new: JsonObject) -> Amendment:
    """The change in place while on trial: a priority only rises then, and sinks when all is settled."""
    before = _fields(old)
    after = {**_fields(new), "priority": max(before["priority"], int(new["priority"]))}
    if is_on_trial(old):
        after["labels"] = before["labels"]
    return Amendment(id=old["id"], before=before, after=after)


def bodies_of(
    changes: Sequence[ConfigurationChange],
    items: Mapping[str, Deployment | Layer],
    value_of: Callable[[str], str],
    token: str,
) -> Bodies:
    """The new configurations as they come in: on trial, and above the old one where there is one."""
    bodies: dict[str, JsonObject] = {}
    for change in changes:
        if change.action not in ("create", "replace") or change.new is None:
            continue
        labels, priority = {**change.new["labels"], TRIAL: token}, int(change.new["priority"])
        if change.old is not None:
            labels[REPLACES] = str(change.old["id"])
            priority = max(priority, int(change.old.get("priority") or 0)) + 1
        body = items[change.name].to_configuration(value_of)
        bodies[change.new["id"]] = {**body, "id": change.new["id"], "labels": labels, "priority": priority}
    return bodies


async def try_out(journal: Journal, service: HubService, operation: Operation, bodies: Bodies) -> None:
    """Change what rises or reaches other devices, and make the new ones; to be taken back by `back_out`."""
    for amendment in operation.amendments:
        journal.step(f"change {amendment.id}")
        await amend(service, amendment.id, amendment.after)
    for coming in operation.creations:
        journal.step(f"create {coming}")
        await _create(service, coming, bodies[coming])


async def back_out(journal: Journal, service: HubService, operation: Operation) -> None:
    """Leave the hub as it was before the operation, and forget the operation."""
    for coming in reversed(operation.creations):
        journal.step(f"delete {coming}, which is taken back")
        if await _trial_of(service, coming) == operation.token:
            await delete(service, coming)
    for amendment in reversed(operation.amendments):
        journal.step(f"change {amendment.id} back")
        await amend(service, amendment.id, amendment.before, only_if=amendment.after)
    journal.change(operation=None)


async def commit(journal: Journal, service: HubService, operation: Operation) -> None:
    """Remove the old ones, settle the new ones, and have the operation's version in force."""
    for gone in operation.deletions:
        journal.step(f"delete {gone}")
        await delete(service, gone)
    for settlement in operation.settlements:
        journal.step(f"settle {settlement.id}")
        await amend(service, settlement.id, settlement.fields)
    journal.change(operation=None, current=operation.version, last=operation.version)


async def is_carried(service: HubService, operation: Operation) -> bool:
    """Whether what the operation has made is all there, on trial or settled: nobody else has taken it back."""
    found = [await _trial_of(service, coming) for coming in operation.creations]
    return all(trial in (operation.token, SETTLED) for trial in found)


async def delete(service: HubService, configuration_id: str) -> None:
    """Delete it, unless it is gone already."""
    try:
        await service.delete_configuration(configuration_id)
    except HubError as error:
        if error.status != GONE:
            raise


async def _trial_of(service: HubService, configuration_id: str) -> str | None:
    """The mark of the operation that a configuration is on trial for; SETTLED, or None where it is gone."""
    try:
        labels = (await service.get_configuration(configuration_id)).get("labels") or {}
    except HubError as error:
        if error.status == GONE:
            return None
        raise
    return str(labels.get(TRIAL, SETTLED))


async def _create(service: HubService, configuration_id: str, body: JsonObject) -> None:
    try:
        await service.put_configuration(configuration_id, body)
    except HubError as error:
        if error.status != EXISTS:
            raise
        # A call that was made twice because its first answer was lost finds what it made itself.
        if await _trial_of(service, configuration_id) != body["labels"][TRIAL]:
            raise


async def amend(
    service: HubService, configuration_id: str, fields: JsonObject, *, only_if: JsonObject | None = None
) -> None:
    """Put other `fields` in place; nothing where they are there already, where those of `only_if` are not, or where
    somebody has deleted the configuration, which the next preview tells.
    """
    try:
        present = await service.get_configuration(configuration_id)
    except HubError as error:
        if error.status == GONE:
            return
        raise
    held = _fields(present)
    if all(held[name] == value for name, value in fields.items()):
        return
    if only_if is not None and any(held[name] != value for name, value in only_if.items()):
        return
    body = {**_fields(present, *KEPT), **held, **fields}
    await service.put_configuration(configuration_id, body, etag=str(present["etag"]))


def _fields(body: JsonObject, *names: str) -> JsonObject:
    return {name: _field(body, name) for name in names or CHANGEABLE}


def _field(body: JsonObject, name: str) -> Any:
    """The value as it is written: metrics without their results, and nothing where there is nothing."""
    value = body.get(name)
    if name == "metrics":
        return {"queries": dict((value or {}).get("queries") or {})}
    if name == "priority":
        return int(value or 0)
    if name == "labels":
        return dict(value or {})
    return value if value is not None else ""
