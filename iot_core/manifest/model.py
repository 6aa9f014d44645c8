"""A deployment manifest as typed values, read and checked.

Sources: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge" and "Properties of the
IoT Edge agent and IoT Edge hub module twins"; which schema versions are taken follows the agent and hub themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest import reader
from iot_core.manifest.createoptions import is_options_key, parse_options
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, modules_content

__all__ = [
    "AgentConfig",
    "EdgeHubConfig",
    "Manifest",
    "ModuleSpec",
    "RegistryCredential",
    "RouteSpec",
    "parse_agent",
    "parse_edge_hub",
    "parse_manifest",
]

Status = Literal["running", "stopped"]
RestartPolicy = Literal["never", "on-failure", "on-unhealthy", "always"]
PullPolicy = Literal["on-create", "never"]

STARTUP_ORDER_LAST = 2**32 - 1
"""Default startup order: after every module that names one."""
PRIORITIES = range(10)
PRIORITY_DEFAULT = 2_000_000_000
"""Priority of a route that names none: below 9, the least urgent that can be named."""
ROUTE_TTL_MAX_S = 2**32 - 1
STORE_TTL_DEFAULT_S = 7200
"""Time to live where schema 1.0 names none; the value in every template of the IoT Edge tools."""

STATUSES: tuple[Status, ...] = ("running", "stopped")
RESTART_POLICIES: tuple[RestartPolicy, ...] = ("never", "on-failure", "on-unhealthy", "always")
PULL_POLICIES: tuple[PullPolicy, ...] = ("on-create", "never")
SYSTEM_MODULES = ("edgeAgent", "edgeHub")

AGENT_SCHEMAS = ((1, 0), (1, 1))
HUB_SCHEMAS = ((1, 0), (1, 1), (1, 2), (1, 3))
SINCE_1_1 = ("imagePullPolicy", "startupOrder")
MODULE_KEYS = frozenset({"type", "status", "restartPolicy", "version", "settings", "env", *SINCE_1_1})
SETTINGS_KEYS = frozenset({"image", "digest"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSpec:
    """A module the agent is to run; `env` values are text, `create_options` the joined and parsed JSON."""

    name: str
    image: str
    type: Literal["docker"] = "docker"
    status: Status = "running"
    restart_policy: RestartPolicy = "always"
    version: str = ""
    pull_policy: PullPolicy = "on-create"
    startup_order: int = STARTUP_ORDER_LAST
    env: Mapping[str, str] = field(default_factory=dict)
    create_options: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryCredential:
    """How to log in to a container registry; the password is left out of `repr`."""

    address: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentConfig:
    """Desired properties of $edgeAgent; `system_modules` holds "edgeAgent" and "edgeHub"."""

    schema_version: str
    system_modules: Mapping[str, ModuleSpec]
    modules: Mapping[str, ModuleSpec]
    registry_credentials: Mapping[str, RegistryCredential] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteSpec:
    """A route by name; 0 is the most urgent priority, `ttl_s` None means the hub's own time to live."""

    name: str
    text: str
    priority: int = PRIORITY_DEFAULT
    ttl_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeHubConfig:
    """Desired properties of $edgeHub; a negative `store_ttl_s` means that stored messages never expire."""

    schema_version: str
    routes: Mapping[str, RouteSpec]
    store_ttl_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A whole deployment: agent, hub and the desired properties of the other modules by module id."""

    agent: AgentConfig
    hub: EdgeHubConfig
    twins: Mapping[str, JsonObject]


def parse_manifest(document: Mapping[str, Any]) -> Manifest:
    """Reads {"modulesContent": {…}} of a base or a single device; raises ManifestError with the path.

    A layer is refused: merge it with its base first.
    """
    modules = modules_content(document)
    for module in modules:
        for key in modules[module]:
            if key != DESIRED:
                raise ManifestError("belongs to a layer: merge the layers first", path=f"modulesContent.{module}.{key}")
    for module in (AGENT, HUB):
        if DESIRED not in modules.get(module, {}):
            raise ManifestError(f"is missing: a manifest needs {AGENT} and {HUB}", path=f"modulesContent.{module}")
    return Manifest(
        agent=parse_agent(modules[AGENT][DESIRED], path=f"modulesContent.{AGENT}.{DESIRED}"),
        hub=parse_edge_hub(modules[HUB][DESIRED], path=f"modulesContent.{HUB}.{DESIRED}"),
        twins={
            module: sections[DESIRED]
            for module, sections in modules.items()
            if module not in (AGENT, HUB) and DESIRED in sections
        },
    )


def parse_agent(desired: Mapping[str, Any], *, path: str = AGENT) -> AgentConfig:
    """Reads the desired properties of $edgeAgent, from a manifest or a twin; raises ManifestError with the path."""
    version = reader.schema_version(desired, path, AGENT_SCHEMAS, third_part_zero=True)
    runtime = reader.required_object(desired, "runtime", path)
    reader.choice(runtime, "type", f"{path}.runtime", ("docker",))
    system = reader.required_object(desired, "systemModules", path)
    return AgentConfig(
        schema_version=str(desired["schemaVersion"]),
        system_modules={
            name: _system_module(name, system, version, f"{path}.systemModules") for name in SYSTEM_MODULES
        },
        modules=_modules(reader.optional_object(desired, "modules", path), version, f"{path}.modules"),
        registry_credentials=_credentials(
            reader.optional_object(runtime, "settings", f"{path}.runtime"), f"{path}.runtime.settings"
        ),
    )


def parse_edge_hub(desired: Mapping[str, Any], *, path: str = HUB) -> EdgeHubConfig:
    """Reads the desired properties of $edgeHub, from a manifest or a twin; raises ManifestError with the path.

    The text of a route is not compiled here: see iot_core.routing.
    """
    version = reader.schema_version(desired, path, HUB_SCHEMAS, third_part_zero=False)
    routes = reader.required_object(desired, "routes", path)
    parsed = (_route(name, value, version, f"{path}.routes") for name, value in routes.items())
    return EdgeHubConfig(
        schema_version=str(desired["schemaVersion"]),
        routes={route.name: route for route in parsed if route is not None},
        store_ttl_s=_store_ttl(desired, version, path),
    )


def _modules(modules: JsonObject, version: tuple[int, int], path: str) -> dict[str, ModuleSpec]:
    if len(modules) > limits.MODULES_PER_DEPLOYMENT:
        raise ManifestError(f"{len(modules)} modules: a deployment may have {limits.MODULES_PER_DEPLOYMENT}", path=path)
    for name in modules:
        reader.check_name(name, reader.MODULE_NAME, path, "letters, digits, _ and -")
    return {name: _module(name, modules, version, path) for name in modules}


def _module(name: str, modules: JsonObject, version: tuple[int, int], path: str) -> ModuleSpec:
    value, path = reader.required_object(modules, name, path), f"{path}.{name}"
    reader.only_keys(value, MODULE_KEYS, path)
    return _spec(
        name,
        value,
        version,
        path,
        status=reader.choice(value, "status", path, STATUSES),
        restart_policy=reader.choice(value, "restartPolicy", path, RESTART_POLICIES),
    )


def _system_module(name: str, modules: JsonObject, version: tuple[int, int], path: str) -> ModuleSpec:
    """The agent itself always runs and is always restarted, whatever its entry says; the hub must name its status."""
    value, path = reader.required_object(modules, name, path), f"{path}.{name}"
    reader.only_keys(value, MODULE_KEYS, path)
    if name == "edgeAgent":
        return _spec(name, value, version, path, status="running", restart_policy="always")
    return _spec(
        name,
        value,
        version,
        path,
        status=reader.choice(value, "status", path, STATUSES),
        restart_policy=reader.choice(value, "restartPolicy", path, RESTART_POLICIES, default="always"),
    )


def _spec(
    name: str,
    value: JsonObject,
    version: tuple[int, int],
    path: str,
    *,
    status: Status,
    restart_policy: RestartPolicy,
) -> ModuleSpec:
    for key in SINCE_1_1:
        if key in value and version < (1, 1):
            raise ManifestError("needs schemaVersion 1.1 of $edgeAgent", path=f"{path}.{key}")
    reader.choice(value, "type", path, ("docker",))
    settings, where = reader.required_object(value, "settings", path), f"{path}.settings"
    reader.only_keys({key: 0 for key in settings if not is_options_key(key)}, SETTINGS_KEYS, where)
    order = reader.integer(value, "startupOrder", path, 0, STARTUP_ORDER_LAST, default=STARTUP_ORDER_LAST)
    return ModuleSpec(
        name=name,
        image=reader.image(settings, where),
        status=status,
        restart_policy=restart_policy,
        version=reader.text(value, "version", path, default=""),
        pull_policy=reader.choice(value, "imagePullPolicy", path, PULL_POLICIES, default="on-create"),
        startup_order=0 if name == "edgeAgent" else order,
        env=reader.environment(value, path),
        create_options=parse_options(settings, path=where),
    )


def _credentials(settings: JsonObject, path: str) -> dict[str, RegistryCredential]:
    credentials, path = reader.optional_object(settings, "registryCredentials", path), f"{path}.registryCredentials"
    return {
        name: RegistryCredential(
            address=reader.text(value := reader.required_object(credentials, name, path), "address", f"{path}.{name}"),
            username=reader.text(value, "username", f"{path}.{name}"),
            password=reader.text(value, "password", f"{path}.{name}"),
        )
        for name in credentials
    }


def _route(name: str, value: Any, version: tuple[int, int], path: str) -> RouteSpec | None:
    reader.check_name(name, reader.ROUTE_NAME, path, "any characters but . $ # and space")
    path = f"{path}.{name}"
    if isinstance(value, str):
        if value.strip():
            return RouteSpec(name=name, text=value)
        if version == (1, 0):
            return None
        raise ManifestError("is blank: remove it or write a route", path=path)
    if not isinstance(value, dict):
        raise ManifestError("must be the text of a route, or an object with 'route'", path=path)
    if version == (1, 0):
        raise ManifestError("a route with priority or time to live needs schemaVersion 1.1 of $edgeHub", path=path)
    ttl = reader.integer(value, "timeToLiveSecs", path, 0, ROUTE_TTL_MAX_S, default=0)
    return RouteSpec(
        name=name,
        text=reader.text(value, "route", path),
        priority=reader.integer(value, "priority", path, PRIORITIES[0], PRIORITIES[-1], default=PRIORITY_DEFAULT),
        ttl_s=ttl or None,
    )


def _store_ttl(desired: Mapping[str, Any], version: tuple[int, int], path: str) -> int:
    if version == (1, 0) and "storeAndForwardConfiguration" not in desired:
        return STORE_TTL_DEFAULT_S
    store = reader.required_object(desired, "storeAndForwardConfiguration", path)
    return reader.integer(store, "timeToLiveSecs", f"{path}.storeAndForwardConfiguration", -(2**31), 2**31 - 1)
