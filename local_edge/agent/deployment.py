"""The desired properties of `$edgeAgent` as typed values.

Rules: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from local_edge.errors import DeploymentError

__all__ = ["LAST_STARTUP_ORDER", "Deployment", "DesiredModule", "RestartPolicy", "Status", "parse_deployment"]

Status = Literal["running", "stopped"]
RestartPolicy = Literal["never", "on-failure", "on-unhealthy", "always"]

LAST_STARTUP_ORDER = 4_294_967_295
"""startupOrder of a module that names none: the last group (the agent's own default)."""

MAX_CHUNKS = 100
"""createOptions, createOptions01 … createOptions99: what the agent reads."""

_MODULE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SUPPORTED_MAJOR, _SUPPORTED_MINOR = 1, 1
_STATUSES = ("running", "stopped")
_RESTART_POLICIES = ("never", "on-failure", "on-unhealthy", "always")
_PULL_POLICIES = ("on-create", "never")


@dataclass(frozen=True, kw_only=True)
class DesiredModule:
    """One module of a deployment; `create_options` is the joined and parsed createOptions."""

    name: str
    image: str
    type: str = "docker"
    status: Status = "running"
    restart_policy: RestartPolicy = "on-unhealthy"
    startup_order: int = LAST_STARTUP_ORDER
    version: str = ""
    image_pull_policy: str = "on-create"
    env: Mapping[str, str] = field(default_factory=dict)
    create_options: Mapping[str, Any] = field(default_factory=dict)

    def same_container(self, other: DesiredModule) -> bool:
        """True when only the wanted status differs, so that nothing has to be recreated."""
        return _without_status(self) == _without_status(other)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A parsed desired section of `$edgeAgent`; `version` is its `$version`."""

    version: int
    modules: Mapping[str, DesiredModule]
    system_modules: Mapping[str, DesiredModule]
    runtime_settings: Mapping[str, Any] = field(default_factory=dict)
    schema_version: str = "1.1"

    @property
    def identities(self) -> frozenset[str]:
        """The module identities that this deployment needs, `$edgeAgent` and `$edgeHub` included."""
        return frozenset({"$edgeAgent", "$edgeHub", *self.modules})


def parse_deployment(desired: Mapping[str, Any]) -> Deployment:
    """The deployment in `desired`; DeploymentError with code 417 (empty), 412 (schema) or 400 (anything else)."""
    content = {key: value for key, value in desired.items() if not key.startswith("$")}
    if not content:
        raise DeploymentError("the deployment is empty; apply one to this device", 417)
    schema = _schema_version(content.get("schemaVersion"))
    runtime = _object(content.get("runtime"), "runtime")
    if runtime.get("type") != "docker":
        raise DeploymentError(f"runtime.type is {runtime.get('type')!r}; only 'docker' exists")
    return Deployment(
        version=int(desired.get("$version", 0)),
        schema_version=schema,
        runtime_settings=_object(runtime.get("settings", {}), "runtime.settings"),
        system_modules=_system_modules(_object(content.get("systemModules"), "systemModules")),
        modules=_modules(_object(content.get("modules") or {}, "modules")),
    )


def _schema_version(value: object) -> str:
    text = str(value) if isinstance(value, str) else ""
    match = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise DeploymentError(f"schemaVersion {value!r} is not a version; use '1.1'", 412)
    major, minor, patch = int(match[1]), int(match[2]), int(match[3] or 0)
    if major != _SUPPORTED_MAJOR or (minor, patch) > (_SUPPORTED_MINOR, 0):
        raise DeploymentError(f"schemaVersion {text} is not supported; use 1.0 or 1.1", 412)
    return text


def _system_modules(modules: Mapping[str, Any]) -> dict[str, DesiredModule]:
    missing = {"edgeAgent", "edgeHub"} - set(modules)
    if missing:
        raise DeploymentError(f"systemModules lacks {' and '.join(sorted(missing))}")
    return {
        name: _module(name, _object(modules[name], f"systemModules.{name}"), default_policy="always")
        for name in ("edgeAgent", "edgeHub")
    }


def _modules(modules: Mapping[str, Any]) -> dict[str, DesiredModule]:
    for name in modules:
        if not _MODULE_ID.fullmatch(name):
            raise DeploymentError(f"module name {name!r} is refused: letters, digits, - and _ only")
    return {
        name: _module(name, _object(body, f"modules.{name}"), default_policy="on-unhealthy")
        for name, body in modules.items()
    }


def _module(name: str, body: Mapping[str, Any], default_policy: RestartPolicy) -> DesiredModule:
    settings = _object(body.get("settings"), f"{name}.settings")
    return DesiredModule(
        name=name,
        image=_image(settings.get("image"), name),
        type=_choice(body.get("type", "docker"), ("docker",), f"{name}.type"),
        status=cast(Status, _choice(body.get("status", "running"), _STATUSES, f"{name}.status")),
        restart_policy=cast(
            RestartPolicy, _choice(body.get("restartPolicy", default_policy), _RESTART_POLICIES, f"{name}.restartPolicy")
        ),
        startup_order=_startup_order(body.get("startupOrder", LAST_STARTUP_ORDER), name),
        version=str(body.get("version", "")),
        image_pull_policy=_choice(body.get("imagePullPolicy", "on-create"), _PULL_POLICIES, f"{name}.imagePullPolicy"),
        env=_environment(_object(body.get("env") or {}, f"{name}.env"), name),
        create_options=_create_options(settings, name),
    )


def _image(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DeploymentError(f"module {name} names no image in settings.image")
    return value.strip()


def _startup_order(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LAST_STARTUP_ORDER:
        raise DeploymentError(f"{name}.startupOrder is {value!r}; a whole number from 0 to {LAST_STARTUP_ORDER} is needed")
    return value


def _environment(env: Mapping[str, Any], name: str) -> dict[str, str]:
    return {key: _env_text(_object(entry, f"{name}.env.{key}").get("value")) for key, entry in env.items()}


def _env_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _create_options(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    text = "".join(_chunks(settings, name)).strip()
    if text in ("", "null"):
        return {}
    try:
        options = json.loads(text)
    except ValueError as error:
        raise DeploymentError(f"createOptions of module {name} are not JSON once joined: {error}") from None
    return dict(_object(options, f"createOptions of module {name}"))


def _chunks(settings: Mapping[str, Any], name: str) -> list[str]:
    numbered = {0 if key == "createOptions" else int(key[13:]): value for key, value in settings.items() if _is_chunk(key)}
    if sorted(numbered) != list(range(len(numbered))) or len(numbered) > MAX_CHUNKS:
        raise DeploymentError(f"createOptions of module {name} have a gap or over {MAX_CHUNKS} parts: {sorted(numbered)}")
    texts = [numbered[index] for index in range(len(numbered))]
    if not all(isinstance(text, str) or text is None for text in texts):
        raise DeploymentError(f"createOptions of module {name} must be a text that holds JSON")
    return [text or "" for text in texts]


def _is_chunk(key: str) -> bool:
    return re.fullmatch(r"createOptions(\d\d)?", key) is not None


def _choice(value: object, allowed: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value.lower() not in allowed:
        raise DeploymentError(f"{where} is {value!r}; one of {', '.join(allowed)} is needed")
    return value.lower()


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DeploymentError(f"{where} is missing or not an object")
    return value


def _without_status(module: DesiredModule) -> tuple[object, ...]:
    return (
        module.image,
        module.type,
        module.restart_policy,
        module.startup_order,
        module.version,
        module.image_pull_policy,
        dict(module.env),
        dict(module.create_options),
    )
