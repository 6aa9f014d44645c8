"""Deployments and layers as objects, and the documents that IoT Hub takes for them.

A `Deployment` is a base: a whole device. A `Layer` adds to, or lies over, the base that a device has. What a document
holds beyond the names here is kept in `extra` and written again, so reading and writing give the same document.
Source: IoT Edge documentation, "Understand IoT Edge automatic deployments for single devices or at scale" and
"Properties of the IoT Edge agent and IoT Edge hub module twins".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from hub_tools.groups import Group
from hub_tools.manifests.modules import Module, ValueOf, keep_secrets
from hub_tools.manifests.routes import Route
from hub_tools.manifests.secrets import resolve, secret_names
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, is_base, modules_content

__all__ = ["Configuration", "Deployment", "Layer", "RegistryCredential", "read_configuration", "read_content"]

RUNTIME_VERSION = "1.6"
STORE_TTL_S = 7200
_ID = re.compile(r"[a-z0-9\-+%_*!']{1,128}")
_MODULES = f"{DESIRED}.modules."
_ROUTES = f"{DESIRED}.routes."


@dataclass(frozen=True, kw_only=True)
class RegistryCredential:
    """How devices log in to a container registry; the password is best a `secret`."""

    address: str
    username: str
    password: str = field(repr=False)

    def to_json(self) -> JsonObject:
        return {"address": self.address, "username": self.username, "password": self.password}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What deployments and layers have in common: which devices they are for, and how they rank.

    `name` is the id in the hub: lower-case letters, digits and -+%_*!'. `target` is a `Group` or a target condition,
    "" for no device. The higher `priority` wins. `metrics` are queries by name.
    """

    name: str
    target: Group | str = ""
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[Module] = ()
    routes: Sequence[Route] = ()
    extra: JsonObject = field(default_factory=dict)
    """Sections by module id that none of the other fields stands for; laid over the content at any depth."""
    source: JsonObject = field(default_factory=dict, repr=False, compare=False)
    """The content this was read from."""

    @property
    def condition(self) -> str:
        """The target condition as text."""
        return self.target.condition if isinstance(self.target, Group) else self.target

    def to_configuration(self, value_of: ValueOf = keep_secrets) -> JsonObject:
        """The body of PUT /configurations/{name}; raises ManifestError for a name that IoT Hub does not take."""
        if _ID.fullmatch(self.name) is None:
            raise ManifestError(
                f"{self.name[:60]!r} is no id of a deployment: use up to 128 of a-z 0-9 - + % _ * ! '", path="name"
            )
        return {
            "id": self.name,
            "schemaVersion": "2.0",
            "labels": dict(self.labels),
            "priority": self.priority,
            "targetCondition": self.condition,
            "content": self.to_content(value_of),
            "metrics": {"queries": dict(self.metrics)},
        }

    def to_content(self, value_of: ValueOf = keep_secrets) -> JsonObject:
        """`{"modulesContent": …}`, with secrets as references, or as the values that `value_of` gives."""
        if self.source and not secret_names(self.source) and self == _read(self.source, self):
            return {"modulesContent": deepcopy(self.source)}
        sections = _over(self._sections(value_of), resolve(self.extra, value_of))
        return {"modulesContent": sections}

    def _sections(self, value_of: ValueOf) -> JsonObject:
        raise NotImplementedError


def _system(name: str) -> Module:
    image = f"mcr.microsoft.com/azureiotedge-{name}:{RUNTIME_VERSION}"
    if name == "agent":
        return Module(name="edgeAgent", image=image, status=None, restart_policy=None)
    ports = {443: 443, 5671: 5671, 8883: 8883}
    return Module(name="edgeHub", image=image, ports=ports, startup_order=0)


@dataclass(frozen=True, kw_only=True)
class Deployment(Configuration):
    """A base deployment: everything that its devices run, the runtime's own two modules included."""

    edge_agent: Module = field(default_factory=lambda: _system("agent"))
    edge_hub: Module = field(default_factory=lambda: _system("hub"))
    registries: Mapping[str, RegistryCredential] = field(default_factory=dict)
    store_ttl_s: int | None = STORE_TTL_S
    """How long the edge hub keeps messages that it cannot pass on; None leaves it out (hub schema 1.0 only)."""
    agent_schema: str = "1.1"
    hub_schema: str = "1.1"
    twins: Mapping[str, JsonObject] = field(default_factory=dict)
    """Desired properties of modules that are not in `modules`."""

    def _sections(self, value_of: ValueOf) -> JsonObject:
        sections = {AGENT: {DESIRED: self._agent(value_of)}, HUB: {DESIRED: self._hub()}}
        desired = {module.name: module.desired for module in self.modules if module.desired is not None}
        for name, properties in {**self.twins, **desired}.items():
            sections[name] = {DESIRED: resolve(properties, value_of)}
        return sections

    def _agent(self, value_of: ValueOf) -> JsonObject:
        logins = {name: resolve(login.to_json(), value_of) for name, login in self.registries.items()}
        settings = {"registryCredentials": logins} if logins else {}
        return {
            "schemaVersion": self.agent_schema,
            "runtime": {"type": "docker", "settings": settings},
            "systemModules": {
                "edgeAgent": self.edge_agent.to_json(value_of),
                "edgeHub": self.edge_hub.to_json(value_of),
            },
            "modules": {module.name: module.to_json(value_of) for module in self.modules},
        }

    def _hub(self) -> JsonObject:
        hub: JsonObject = {
            "schemaVersion": self.hub_schema,
            "routes": {route.name: route.to_json() for route in self.routes},
        }
        if self.store_ttl_s is not None:
            hub["storeAndForwardConfiguration"] = {"timeToLiveSecs": self.store_ttl_s}
        return hub


@dataclass(frozen=True, kw_only=True)
class Layer(Configuration):
    """A layered deployment; its priority has to be above that of the base it is meant for.

    A module's `desired` replaces the whole section; `settings` set single parts of twins, by module id and dotted path.
    """

    settings: Mapping[str, JsonObject] = field(default_factory=dict)

    def _sections(self, value_of: ValueOf) -> JsonObject:
        sections: JsonObject = {
            AGENT: {f"{_MODULES}{module.name}": module.to_json(value_of) for module in self.modules}
        }
        if self.routes:
            sections[HUB] = {f"{_ROUTES}{route.name}": route.to_json() for route in self.routes}
        for module in self.modules:
            if module.desired is not None:
                sections.setdefault(module.name, {})[DESIRED] = resolve(module.desired, value_of)
        for name, settings in self.settings.items():
            section = sections.setdefault(name, {})
            section |= {f"{DESIRED}.{path}": resolve(value, value_of) for path, value in settings.items()}
        return sections


def read_content(name: str, document: Mapping[str, Any]) -> Deployment | Layer:
    """A deployment or layer from {"modulesContent": …} (any of its envelopes); raises ManifestError with the path."""
    sections = modules_content(document)
    empty = Deployment(name=name) if is_base(sections) else Layer(name=name)
    return _read(sections, empty)


def read_configuration(document: Mapping[str, Any]) -> Deployment | Layer:
    """The same from IoT Hub's own form, with "id", "priority", "targetCondition", "labels", "metrics" and "content"."""
    read = read_content(str(document.get("id", "")), document)
    metrics = document.get("metrics") or {}
    return replace(
        read,
        target=str(document.get("targetCondition") or ""),
        priority=int(document.get("priority") or 0),
        labels=dict(document.get("labels") or {}),
        metrics=dict(metrics.get("queries") or {}),
    )


def _read(sections: JsonObject, like: Configuration) -> Deployment | Layer:
    """`sections` as an object; its target, priority and so on are those of `like`."""
    try:
        read = _base(sections, like) if is_base(sections) else _layer(sections, like)
    except (AttributeError, TypeError, KeyError) as error:
        raise ManifestError(f"is not shaped as a deployment: {error}", path=like.name) from None
    extra = _missing(sections, read._sections(keep_secrets))
    return replace(read, extra=extra, source=sections)


def _common(like: Configuration) -> dict[str, Any]:
    names = ("name", "target", "priority", "labels", "metrics")
    return {name: getattr(like, name) for name in names}


def _base(sections: JsonObject, like: Configuration) -> Deployment:
    agent, hub = sections[AGENT][DESIRED], sections.get(HUB, {}).get(DESIRED, {})
    system = agent["systemModules"]
    entries = agent.get("modules", {})
    logins = agent.get("runtime", {}).get("settings", {}).get("registryCredentials", {})
    store = hub.get("storeAndForwardConfiguration") or {}
    desired = {
        name: parts[DESIRED] for name, parts in sections.items() if name not in (AGENT, HUB) and DESIRED in parts
    }
    return Deployment(
        **_common(like),
        modules=tuple(Module.from_json(name, entry, desired=desired.get(name)) for name, entry in entries.items()),
        routes=tuple(Route.from_json(name, value) for name, value in hub.get("routes", {}).items()),
        edge_agent=Module.from_json("edgeAgent", system["edgeAgent"]),
        edge_hub=Module.from_json("edgeHub", system["edgeHub"]),
        registries={name: RegistryCredential(**_login(login)) for name, login in logins.items()},
        store_ttl_s=store.get("timeToLiveSecs"),
        agent_schema=agent["schemaVersion"],
        hub_schema=hub["schemaVersion"],
        twins={name: value for name, value in desired.items() if name not in entries},
    )


def _login(value: JsonObject) -> dict[str, str]:
    return {name: value[name] for name in ("address", "username", "password")}


def _layer(sections: JsonObject, like: Configuration) -> Layer:
    agent, hub = sections.get(AGENT, {}), sections.get(HUB, {})
    modules = {
        key.removeprefix(_MODULES): entry
        for key, entry in agent.items()
        if key.startswith(_MODULES) and "." not in key.removeprefix(_MODULES) and isinstance(entry, dict)
    }
    twins = {name: parts for name, parts in sections.items() if name not in (AGENT, HUB)}
    return Layer(
        **_common(like),
        modules=tuple(
            Module.from_json(name, entry, desired=twins.get(name, {}).get(DESIRED)) for name, entry in modules.items()
        ),
        routes=tuple(
            Route.from_json(key.removeprefix(_ROUTES), value)
            for key, value in hub.items()
            if key.startswith(_ROUTES) and "." not in key.removeprefix(_ROUTES)
        ),
        settings={name: parts for name, twin in twins.items() if (parts := _parts(twin))},
    )


def _parts(twin: JsonObject) -> JsonObject:
    return {key.removeprefix(f"{DESIRED}."): value for key, value in twin.items() if key.startswith(f"{DESIRED}.")}


def _missing(whole: JsonObject, known: JsonObject) -> JsonObject:
    """What `whole` holds and `known` does not, at any depth."""
    missing: JsonObject = {}
    for name, value in whole.items():
        if name not in known:
            missing[name] = deepcopy(value)
        elif isinstance(value, dict) and isinstance(known[name], dict) and (rest := _missing(value, known[name])):
            missing[name] = rest
    return missing


def _over(low: JsonObject, high: JsonObject) -> JsonObject:
    result = dict(low)
    for name, value in high.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _over(result[name], value) if both else deepcopy(value)
    return result
