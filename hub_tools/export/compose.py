"""A deployment as a docker compose file.

Source: Compose specification (services, deploy, configs, volumes, interpolation).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from hub_tools.export.compose_options import take_options
from hub_tools.export.plain import TWIN_PATH, Exported, Plain, edge_warnings, plain_modules, yaml_text
from hub_tools.export.source import Source
from hub_tools.export.volumes import Volume, take_volumes
from hub_tools.manifests import Deployment
from hub_tools.manifests.create_options import PortBinding
from hub_tools.manifests.secrets import SECRET
from iot_core.json_types import JsonObject

__all__ = ["to_compose"]

RESTART = {"always": "always", "on-failure": "on-failure", "never": "no", "on-unhealthy": "always"}
LAST = 4_294_967_295
"""The startupOrder of a module that has none ("Properties of the IoT Edge agent and IoT Edge hub module twins")."""
GATEWAY = {"IOTEDGE_GATEWAYHOSTNAME": "host.docker.internal"}
"""What a module calls the device by: here the machine, on whose ports the others are bound."""
_NOT_IN_NAME = re.compile(r"[^a-z0-9_-]+")


def to_compose(source: Source) -> Exported:
    """The compose file, with ${NAME} for secrets, which compose takes from its environment or .env beside the file."""
    deployment = source.deployment
    warnings = [*edge_warnings(deployment), *_runtime_warnings(deployment)]
    plain = plain_modules(deployment, warnings)
    file: JsonObject = {"name": _NOT_IN_NAME.sub("-", deployment.name.lower()).strip("-_") or "edge", "services": {}}
    configs: JsonObject = {}
    volumes: JsonObject = {}
    for module in plain:
        mounted = take_volumes(module.name, module.options, warnings)
        volumes |= {each.source: {} for each in mounted if each.kind == "volume" and each.source}
        if module.twin is not None:
            configs[f"{module.name}-twin"] = {"content": json.dumps(module.twin, indent=2, ensure_ascii=False)}
        file["services"][module.name] = _service(module, mounted, plain, warnings)
    file |= {key: value for key, value in {"configs": configs, "volumes": volumes}.items() if value}
    return Exported(text=yaml_text([_interpolated(file)], warnings), warnings=tuple(warnings))


def _runtime_warnings(deployment: Deployment) -> list[str]:
    return [
        f"registryCredentials {name} are not carried over: docker login {login.address}"
        for name, login in deployment.registries.items()
    ]


def _service(module: Plain, volumes: Sequence[Volume], others: Sequence[Plain], warnings: list[str]) -> JsonObject:
    service: JsonObject = {"image": module.image}
    service |= take_options(module.name, module.options, warnings)
    speaks = module.twin is not None and service.get("network_mode") != "host"
    if speaks:
        service["extra_hosts"] = [*service.get("extra_hosts", []), "host.docker.internal:host-gateway"]
        service["configs"] = [{"source": f"{module.name}-twin", "target": TWIN_PATH}]
    elif module.twin is not None:
        service["configs"] = [{"source": f"{module.name}-twin", "target": TWIN_PATH}]
    service |= _life(module, others, warnings)
    own = {
        "environment": {**(GATEWAY if speaks else {}), **module.env},
        "ports": _ports(module, service, warnings),
        "volumes": [_volume(each) for each in volumes],
    }
    warnings += [f"{module.name}: createOptions.{path} cannot be carried over" for path in module.options.left()]
    return service | {key: value for key, value in own.items() if value}


def _life(module: Plain, others: Sequence[Plain], warnings: list[str]) -> JsonObject:
    """When it starts, and starts again."""
    entry = module.module
    life: JsonObject = {"restart": RESTART.get(entry.restart_policy or "always", "always")}
    if entry.restart_policy == "on-unhealthy":
        warnings.append(f"{module.name}: restartPolicy on-unhealthy becomes always: compose restarts what has ended")
    if entry.status == "stopped":
        life["scale"] = 0
    if entry.image_pull_policy == "never":
        life["pull_policy"] = "never"
    earlier = [each.name for each in others if _is_just_before(each, module, others)]
    return life | ({"depends_on": earlier} if earlier else {})


def _order(module: Plain) -> int:
    return LAST if module.module.startup_order is None else module.module.startup_order


def _is_just_before(candidate: Plain, module: Plain, others: Sequence[Plain]) -> bool:
    """Whether a module is of the group that starts right before this one's."""
    before = [_order(each) for each in others if _order(each) < _order(module)]
    running = candidate.module.status != "stopped"
    return running and bool(before) and _order(candidate) == max(before)


def _ports(module: Plain, service: JsonObject, warnings: list[str]) -> list[str]:
    bindings = module.module.options.port_bindings
    module.options.take("HostConfig.PortBindings")
    if bindings and service.get("network_mode") == "host":
        warnings.append(f"{module.name}: PortBindings are without effect on the host's network, as on IoT Edge")
        return []
    return [_port(each) for each in bindings]


def _port(binding: PortBinding) -> str:
    host = ":".join(part for part in (binding.host_ip, binding.host_port) if part)
    if binding.host_ip and not binding.host_port:
        host = f"{binding.host_ip}:"
    protocol = "" if binding.protocol == "tcp" else f"/{binding.protocol}"
    container = f"{binding.container_port}{protocol}"
    return f"{host}:{container}" if host else container


def _volume(volume: Volume) -> JsonObject:
    found: JsonObject = {"type": volume.kind, "target": volume.target}
    if volume.source:
        found["source"] = volume.source
    if volume.read_only:
        found["read_only"] = True
    if volume.kind == "bind":
        found["bind"] = {"create_host_path": True}
        flags = volume.mode.split(",") if volume.mode else []
        for flag in flags:
            found["bind"]["selinux" if flag in ("z", "Z") else "propagation"] = flag
    return found


def _interpolated(value: Any) -> Any:
    """The same where $ begins a variable: each literal one doubled, references as variables that must be set."""
    if isinstance(value, str):
        parts = SECRET.split(value)
        parts[::2] = [part.replace("$", "$$") for part in parts[::2]]
        parts[1::2] = [f"${{{name}:?}}" for name in parts[1::2]]
        return "".join(parts)
    if isinstance(value, dict):
        return {name: _interpolated(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item) for item in value]
    return value
