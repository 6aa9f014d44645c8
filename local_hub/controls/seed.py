"""The seed of a hub: devices, modules, twins and configurations that are there when it starts.

A JSON file (or YAML, by its suffix .yaml or .yml) of this shape, everything optional but the ids::

    {"devices": [{"deviceId": "d1", "status": "enabled", "edge": false,
                  "primaryKey": null, "secondaryKey": null, "tags": {}, "desired": {},
                  "modules": [{"moduleId": "m1", "primaryKey": null, "tags": {}, "desired": {}}]}],
     "configurations": [{"id": "c1", "targetCondition": "*", "priority": 10, "content": {…}, …}]}

Sowing it again changes nothing: what is there already keeps what the seed does not mention, tags and desired properties
are merged as patches (null removes), and nothing is ever deleted. Configurations are as the REST API takes them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from iot_core.errors import HubError, InputError
from iot_core.identity import Identity, generate_key
from iot_core.json_types import JsonObject
from iot_core.twin import merge_patch
from local_hub.hub import Hub
from local_hub.preconditions import ANY

__all__ = ["Seed", "SeedError", "read_seed", "sow"]

YAML_SUFFIXES = (".yaml", ".yml")
_AT_ONCE = 100
"""Devices whose writes share commits."""


class SeedError(InputError):
    """A seed that cannot be read or sown; the message says where in the file."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class _Identity(_Part):
    primary_key: str | None = Field(None, repr=False)
    secondary_key: str | None = Field(None, repr=False)
    tags: dict[str, Any] = Field(default_factory=dict)
    desired: dict[str, Any] = Field(default_factory=dict)

    def authentication(self, current: JsonObject | None) -> JsonObject:
        """The member of an identity document: the keys of the seed, else those that are there, else new ones."""
        had = (current or {}).get("symmetricKey") or {}
        given = {"primaryKey": self.primary_key, "secondaryKey": self.secondary_key}
        if all(key in (None, had.get(name)) for name, key in given.items()):
            return current or {"type": "sas"}
        keys = {name: key or had.get(name) or generate_key() for name, key in given.items()}
        return {"type": "sas", "symmetricKey": keys}


class SeedModule(_Identity):
    """A module of a device."""

    module_id: str


class SeedDevice(_Identity):
    """A device; what is None stays as it is."""

    device_id: str
    status: Literal["enabled", "disabled"] | None = None
    edge: bool | None = None
    modules: list[SeedModule] = Field(default_factory=list)


class Seed(_Part):
    """A whole seed; ``source`` names it in messages."""

    devices: list[SeedDevice] = Field(default_factory=list)
    configurations: list[dict[str, Any]] = Field(default_factory=list)


def read_seed(path: Path) -> Seed:
    """SeedError, naming file and place, for what is no seed."""
    try:
        content = path.read_bytes()
        return Seed.model_validate_json(_from_yaml(content) if path.suffix in YAML_SUFFIXES else content)
    except OSError as error:
        raise SeedError(f"seed {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise SeedError(f"seed {path} is not YAML that JSON could say too: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SeedError(f"seed {path}: {_place(*first['loc'])}{first['msg']}") from error


def _from_yaml(content: bytes) -> str:
    """As JSON; TypeError for a value that JSON has not, such as a date without quotes."""
    return json.dumps(yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


async def sow(hub: Hub, path: Path) -> None:
    """Bring the hub to hold what the seed in ``path`` says; SeedError, and then some of it may be there already."""
    seed = read_seed(path)
    for start in range(0, len(seed.devices), _AT_ONCE):
        some = enumerate(seed.devices[start : start + _AT_ONCE], start)
        await _all(_named(path, ("devices", at), _sow_device(hub, device)) for at, device in some)
    for at, body in enumerate(seed.configurations):
        await _named(path, ("configurations", at), _sow_configuration(hub, body))


async def _all(works: Any) -> None:
    """Let them end, all, then raise what the first of them raised."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _named(path: Path, place: tuple[str | int, ...], work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except SeedError:
        raise
    except (HubError, InputError) as error:
        text = error.message if isinstance(error, HubError) else str(error)
        raise SeedError(f"seed {path}: {_place(*place)}{text}") from error


def _place(*parts: str | int) -> str:
    """ "devices[2].tags: " """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    return f"{text}: " if text else ""


async def _sow_device(hub: Hub, device: SeedDevice) -> None:
    identity = Identity(device.device_id)
    try:
        current: JsonObject | None = hub.registry.get_device(device.device_id)
    except HubError as error:
        if error.name != "DeviceNotFound":
            raise
        current = None
    wanted = _device_document(device, current)
    if wanted != current:
        await hub.registry.put_device(device.device_id, wanted, None if current is None else ANY)
    await _sow_twin(hub, identity, device)
    for module in device.modules:
        await _sow_module(hub, Identity(device.device_id, module.module_id), module)


def _device_document(device: SeedDevice, current: JsonObject | None) -> JsonObject:
    had = current or {"deviceId": device.device_id, "status": "enabled", "capabilities": {"iotEdge": False}}
    edge = had["capabilities"]["iotEdge"] if device.edge is None else device.edge
    return {
        **had,
        "status": device.status or had["status"],
        "capabilities": {**had["capabilities"], "iotEdge": edge},
        "authentication": device.authentication(had.get("authentication")),
    }


async def _sow_module(hub: Hub, identity: Identity, module: SeedModule) -> None:
    known = {document["moduleId"]: document for document in hub.registry.list_modules(identity.device_id)}
    current = known.get(identity.module_id)
    had = current or {"deviceId": identity.device_id, "moduleId": identity.module_id}
    wanted = {**had, "authentication": module.authentication(had.get("authentication"))}
    if wanted != current:
        await hub.registry.put_module(identity, wanted, None if current is None else ANY)
    await _sow_twin(hub, identity, module)


async def _sow_twin(hub: Hub, identity: Identity, part: _Identity) -> None:
    twin = hub.twins.get(identity)
    desired = {name: value for name, value in twin["properties"]["desired"].items() if not name.startswith("$")}
    if merge_patch(twin["tags"], part.tags) == twin["tags"] and merge_patch(desired, part.desired) == desired:
        return
    await hub.twins.patch(identity, {"tags": part.tags, "properties": {"desired": part.desired}}, None)


async def _sow_configuration(hub: Hub, body: JsonObject) -> None:
    """Create a configuration, or bring priority, condition, labels and metrics of the one that is there up to date."""
    name = body.get("id")
    if not isinstance(name, str):
        raise InputError("id is needed, a text")
    current = next((found for found in await hub.configurations.list() if found["id"] == name), None)
    if current is None:
        await hub.configurations.put(name, body, None)
        return
    differing = [member for member, value in body.items() if not _holds(current.get(member), value)]
    if "content" in differing:
        raise InputError(
            f"the content of configuration {name!r} differs from the hub's, and content stays: use a new id"
        )
    if differing:
        await hub.configurations.put(name, {**current, **body}, ANY)


def _holds(current: Any, value: Any) -> bool:
    """Whether all of a value is there; the hub adds members of its own to objects."""
    if isinstance(value, dict) and isinstance(current, dict):
        return all(_holds(current.get(name), inner) for name, inner in value.items())
    return bool(current == value)
