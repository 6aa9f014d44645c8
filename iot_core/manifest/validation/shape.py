"""V01 and V02: the form of a deployment, and what its schema versions allow.

Sources: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge" and "Properties of the
IoT Edge agent and IoT Edge hub module twins".
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from iot_core.json_types import JsonObject
from iot_core.manifest import model, reader
from iot_core.manifest.createoptions import is_options_key
from iot_core.manifest.envelope import AGENT, DESIRED, HUB
from iot_core.manifest.validation.notes import Note, attempt, error, warning
from iot_core.manifest.validation.reading import Entry, Reading, RouteEntry, as_object

__all__ = ["form", "schema_features"]

_STORE = "storeAndForwardConfiguration"
_AGENT_KEYS = frozenset({"schemaVersion", "runtime", "systemModules", "modules", "integrity"})
_HUB_KEYS = frozenset({"schemaVersion", "routes", _STORE, "mqttBroker", "integrity"})
_ROUTE_KEYS = frozenset({"route", "priority", "timeToLiveSecs"})
_LOGIN = ("address", "username", "password")


def form(reading: Reading) -> Iterator[Note]:
    """V01: the envelope, both system entries, schema versions, and the form of every entry."""
    yield from reading.faults
    if reading.kind == "base":
        yield from _system_entries(reading)
        if reading.agent:
            yield from _agent(reading.agent, f"modulesContent.{AGENT}.{DESIRED}")
        if reading.hub:
            yield from _hub(reading, f"modulesContent.{HUB}.{DESIRED}")
        yield from _twins_of_nobody(reading)
    for entry in reading.modules:
        yield from _module(entry)
    for route in reading.routes:
        yield from _route(route, reading.hub_version)


def _system_entries(reading: Reading) -> Iterator[Note]:
    for module, desired in ((AGENT, reading.agent), (HUB, reading.hub)):
        if not desired:
            path = f"modulesContent.{module}"
            yield error(path, "has no desired properties", f'Add {{"{DESIRED}": {{"schemaVersion": "1.1", …}}}}')


def _unknown(value: JsonObject, known: frozenset[str], path: str) -> Iterator[Note]:
    """Keys that the runtime passes over, which most often are known ones misspelt."""
    for key in value:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            fix = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(known))}"
            yield warning(f"{path}.{key}", "is not known here and has no effect", fix)


def _twins_of_nobody(reading: Reading) -> Iterator[Note]:
    for part in reading.parts:
        unknown = part.module not in (AGENT, HUB, *reading.module_names)
        if unknown and not part.where and reading.elsewhere is not None:
            close = get_close_matches(part.module, reading.module_names, n=1)
            fix = f"Did you mean {close[0]}?" if close else "Add the module, or remove its desired properties"
            yield warning(part.path, "belongs to a module that is not in the deployment", fix)


def _agent(agent: JsonObject, path: str) -> Iterator[Note]:
    yield from _unknown(agent, _AGENT_KEYS, path)
    yield from attempt('Use "1.1"', reader.schema_version, agent, path, model.AGENT_SCHEMAS, third_part_zero=True)
    runtime = as_object(agent.get("runtime"))
    yield from attempt('Write {"type": "docker", "settings": {}}', reader.required_object, agent, "runtime", path)
    if isinstance(agent.get("runtime"), dict):
        yield from attempt('Write "docker"', reader.choice, runtime, "type", f"{path}.runtime", ("docker",))
        yield from _logins(runtime, f"{path}.runtime")
    system = as_object(agent.get("systemModules"))
    fix = "Add both system modules, edgeAgent and edgeHub"
    yield from attempt(fix, reader.required_object, agent, "systemModules", path)
    yield from _unknown(system, frozenset(model.SYSTEM_MODULES), f"{path}.systemModules")
    for name in model.SYSTEM_MODULES:
        if isinstance(agent.get("systemModules"), dict) and name not in system:
            yield error(f"{path}.systemModules.{name}", "is missing", "Add it with its image")
    yield from attempt("Write an object, {} for none", reader.optional_object, agent, "modules", path)


def _logins(runtime: JsonObject, path: str) -> Iterator[Note]:
    fix = 'Write {"name": {"address": …, "username": …, "password": …}}'
    yield from attempt(fix, reader.optional_object, runtime, "settings", path)
    settings, path = as_object(runtime.get("settings")), f"{path}.settings"
    yield from attempt(fix, reader.optional_object, settings, "registryCredentials", path)
    path = f"{path}.registryCredentials"
    for name, login in as_object(settings.get("registryCredentials")).items():
        if not isinstance(login, dict):
            yield error(f"{path}.{name}", "must be an object", fix)
            continue
        for key in _LOGIN:
            yield from attempt("Write all three as text", reader.text, login, key, f"{path}.{name}")


def _hub(reading: Reading, path: str) -> Iterator[Note]:
    hub, version = reading.hub, reading.hub_version
    yield from _unknown(hub, _HUB_KEYS, path)
    yield from attempt('Use "1.1"', reader.schema_version, hub, path, model.HUB_SCHEMAS, third_part_zero=False)
    yield from attempt("Write an object, {} for none", reader.required_object, hub, "routes", path)
    if version == (1, 0) and _STORE not in hub:
        return
    yield from attempt('Write {"timeToLiveSecs": 7200}', reader.required_object, hub, _STORE, path)
    if isinstance(store := hub.get(_STORE), dict):
        yield from attempt(
            "Write seconds, negative for no end",
            reader.integer,
            store,
            "timeToLiveSecs",
            f"{path}.{_STORE}",
            -(2**31),
            2**31 - 1,
        )


def _module(entry: Entry) -> Iterator[Note]:
    value, path = entry.value, entry.path
    if not isinstance(entry.raw, dict):
        yield error(path, "must be an object", "Write the whole module object: type, status, restartPolicy, settings")
        return
    fix = "Remove it, or put it right: it may be a known key misspelt"
    for key in value:
        yield from attempt(fix, reader.only_keys, [key], model.MODULE_KEYS, path)
    yield from attempt('Write "docker"', reader.choice, value, "type", path, ("docker",))
    yield from _policies(entry)
    yield from attempt("Write text", reader.text, value, "version", path, default="")
    order = {"default": model.STARTUP_ORDER_LAST}
    yield from attempt(
        "0 starts first", reader.integer, value, "startupOrder", path, 0, model.STARTUP_ORDER_LAST, **order
    )
    yield from attempt('Write {"image": …}', reader.required_object, value, "settings", path)
    if isinstance(value.get("settings"), dict):
        yield from _settings(entry.settings, f"{path}.settings")
    yield from _environment(value, path)


def _policies(entry: Entry) -> Iterator[Note]:
    value, path = entry.value, entry.path
    if entry.name != "edgeAgent" or not entry.system:
        yield from attempt('Write "running" or "stopped"', reader.choice, value, "status", path, model.STATUSES)
        default = "always" if entry.system else None
        yield from attempt(
            'Write "always"', reader.choice, value, "restartPolicy", path, model.RESTART_POLICIES, default=default
        )
    yield from attempt(
        'Leave it out for "on-create"',
        reader.choice,
        value,
        "imagePullPolicy",
        path,
        model.PULL_POLICIES,
        default="on-create",
    )


def _settings(settings: JsonObject, path: str) -> Iterator[Note]:
    for key in settings:
        if not is_options_key(key):
            yield from attempt("Remove it", reader.only_keys, [key], model.SETTINGS_KEYS, path)
    yield from attempt("Name the image with its tag", reader.image, settings, path)


def _environment(value: JsonObject, path: str) -> Iterator[Note]:
    fix = 'Write {"NAME": {"value": "…"}}'
    yield from attempt(fix, reader.optional_object, value, "env", path)
    for name, item in as_object(value.get("env")).items():
        where = f"{path}.env.{name}"
        if not isinstance(item, dict):
            yield error(where, "must be an object", fix)
        elif isinstance(item.get("value"), dict | list):
            yield error(f"{where}.value", "must be text, a number or true or false", fix)


def _route(route: RouteEntry, version: tuple[int, int] | None) -> Iterator[Note]:
    value, path = route.value, route.path
    if isinstance(value, str):
        if not value.strip() and version != (1, 0):
            yield error(path, "is blank", "Remove it or write a route")
        return
    if not isinstance(value, dict):
        yield error(path, "must be the text of a route, or an object with 'route'", "Write FROM … INTO …")
        return
    yield from _unknown(value, _ROUTE_KEYS, path)
    yield from attempt("Write FROM … INTO …", reader.text, value, "route", path)
    if isinstance(value.get("route"), str) and not value["route"].strip():
        yield error(f"{path}.route", "is blank", "Remove the route or write it")
    lowest, highest = model.PRIORITIES[0], model.PRIORITIES[-1]
    yield from attempt("0 is the most urgent", reader.integer, value, "priority", path, lowest, highest, default=lowest)
    ttl = "Write seconds, 0 for the edge hub's own time"
    yield from attempt(ttl, reader.integer, value, "timeToLiveSecs", path, 0, model.ROUTE_TTL_MAX_S, default=0)


def schema_features(reading: Reading) -> Iterator[Note]:
    """V02: what came with schema 1.1, used with 1.0."""
    if reading.hub_version == (1, 0):
        for route in reading.routes:
            if isinstance(route.value, dict):
                message = "a route with priority or time to live is not read with schema 1.0 of $edgeHub"
                yield error(route.path, message, 'Set schemaVersion of $edgeHub to "1.1"')
    if reading.agent_version == (1, 0):
        for entry in reading.modules:
            for key in (key for key in model.SINCE_1_1 if key in entry.value):
                message = "is not read with schema 1.0 of $edgeAgent"
                yield error(f"{entry.path}.{key}", message, 'Set schemaVersion of $edgeAgent to "1.1"')
