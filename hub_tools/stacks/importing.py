"""Taking over a deployment that somebody made otherwise: it gets a stack's labels, and becomes Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hub_tools.manifests import Deployment, Layer, read_configuration
from hub_tools.service import HubService
from hub_tools.stacks.difference import same
from hub_tools.stacks.environments import Environment
from hub_tools.stacks.operations import amend
from hub_tools.stacks.ownership import NAME, STACK, labels_of, owned_by
from hub_tools.stacks.program import NAME_LENGTH_MAX, Stack, check_name
from hub_tools.stacks.program_text import program_text, with_references
from iot_core.errors import HubError, InputError
from iot_core.json_types import JsonObject

__all__ = ["ImportRefusedError", "Imported", "prepare_import", "take_over"]

VERSION = 1


class ImportRefusedError(InputError):
    """The configuration cannot be taken over; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What is taken over: its id, its name in the stack, the program that declares it, and the names of the secrets
    that the program refers to.
    """

    id: str
    name: str
    program: str
    secrets: tuple[str, ...]
    labels: Mapping[str, str]

    def to_json(self) -> JsonObject:
        return {"id": self.id, "name": self.name, "program": self.program, "secrets": list(self.secrets)}


async def prepare_import(
    service: HubService, stack: str, environment: str, configuration_id: str, *, name: str | None = None
) -> Imported:
    """Read a deployment and write it as Python, which is run and compared with it; the hub is not changed.

    Raises ImportRefusedError for what is not there, is no edge deployment, belongs to a stack, or has a name that the
    stack uses already.
    """
    found = await _read(service, configuration_id)
    wanted = name or _name_of(configuration_id)
    check_name(wanted, "deployment or layer")
    if wanted in owned_by(stack, environment, await service.list_configurations()):
        raise ImportRefusedError(f"{stack}/{environment} has {wanted!r} already: give --name NAME")
    sections, values = with_references(found["content"]["modulesContent"])
    original = read_configuration({**found, "id": wanted, "content": {"modulesContent": sections}})
    program = program_text(original)
    item = _run(program, stack, environment, wanted)
    if not same(found["content"]["modulesContent"], item.to_content()["modulesContent"], values.get):
        raise ImportRefusedError(f"{configuration_id} holds what a stack program cannot say; keep it as it is")
    return Imported(
        id=configuration_id,
        name=wanted,
        program=program,
        secrets=tuple(sorted(values)),
        labels=labels_of(stack, environment, item, VERSION),
    )


async def take_over(service: HubService, imported: Imported) -> None:
    """Add the stack's labels to the configuration, and change nothing else."""
    await amend(service, imported.id, {"labels": dict(imported.labels)})


async def _read(service: HubService, configuration_id: str) -> JsonObject:
    try:
        found = await service.get_configuration(configuration_id)
    except HubError as error:
        if error.status == 404:
            raise ImportRefusedError(f"there is no configuration {configuration_id}") from None
        raise
    labels = found.get("labels") or {}
    if STACK in labels:
        raise ImportRefusedError(f"{configuration_id} is {labels.get(NAME)!r} of the stack {labels[STACK]} already")
    if not (found.get("content") or {}).get("modulesContent"):
        raise ImportRefusedError(f"{configuration_id} is no deployment to edge devices")
    return found


def _name_of(configuration_id: str) -> str:
    """The id as a name in a stack: "base-2026" becomes "base_2026"."""
    return re.sub(r"[^a-z0-9]+", "_", configuration_id).strip("_")[:NAME_LENGTH_MAX] or "imported"


def _run(program: str, stack: str, environment: str, name: str) -> Deployment | Layer:
    """What the text declares when it is run as a program."""
    names: dict[str, object] = {}
    exec(compile(program, "<imported>", "exec"), names)
    run = Stack(stack, Environment(name=environment))
    names["program"](run)  # type: ignore[operator]
    return replace(run.items[name])
