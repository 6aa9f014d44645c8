"""V14: what a layer may hold, and what a set of deployments has to be to make a device.

Source: IoT Edge documentation, "Understand IoT Edge automatic deployments for single devices or at scale" (layered
deployment).
"""

from __future__ import annotations

from collections.abc import Iterator

from iot_core.manifest.envelope import AGENT, DESIRED, HUB
from iot_core.manifest.validation.notes import Note, error, warning
from iot_core.manifest.validation.reading import Part, Reading

__all__ = ["layer_rules"]

_SECTIONS = {AGENT: "modules", HUB: "routes"}
_CREDENTIALS = ("runtime", "settings", "registryCredentials")


def layer_rules(reading: Reading) -> Iterator[Note]:
    """V14: what of a layer IoT Hub refuses, and what it may not do as hoped. In a base, the parts of a layer."""
    if reading.kind == "base":
        for part in (part for part in reading.parts if part.where):
            yield error(part.path, "belongs to a layer", f"Write it into '{DESIRED}', or make a layer of it")
        return
    if AGENT not in reading.named:
        path = "modulesContent"
        yield error(path, f"has no {AGENT}, without which a layer is not taken", f'Add "{AGENT}": {{}}')
    for part in reading.parts:
        yield from _system_part(part) if part.module in _SECTIONS else _user_part(reading, part)


def _system_part(part: Part) -> Iterator[Note]:
    section = _SECTIONS[part.module]
    if part.module == AGENT and part.where[:3] == _CREDENTIALS:
        yield warning(part.path, "registry logins in a layer are not documented", "Put them into the base")
    elif len(part.where) < 2 or part.where[0] != section:
        fix = f"Use '{DESIRED}.{section}.<name>'; everything else belongs into the base"
        yield error(part.path, f"a layer may write only {section} into {part.module}", fix)
    elif len(part.where) > 2:
        yield warning(part.path, f"reaches into one of the {section}, which is not documented", "Write it whole")


def _user_part(reading: Reading, part: Part) -> Iterator[Note]:
    if len(part.where) > 1:
        message = "reaches below one named part, which is not documented"
        yield warning(part.path, message, f"Write '{DESIRED}.{part.where[0]}' whole")
    elif not part.where and part.module not in {entry.name for entry in reading.user_modules}:
        message = "replaces all desired properties that lower deployments gave the module"
        yield warning(part.path, message, f"Use '{DESIRED}.<part>' to set one part and leave the rest")
