"""What the process engine understands of Docker's createOptions: Env, Cmd and HostConfig.PortBindings.

Shapes: Docker Engine API, "Create a container". All other fields concern containers and are without effect here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iot_core.manifest.model import ModuleSpec
from local_edge.errors import DeploymentError

__all__ = ["arguments", "environment", "host_port", "port_clash", "port_key", "published_ports"]


def environment(module: ModuleSpec) -> dict[str, str]:
    """Env of the createOptions as a mapping; DeploymentError unless it is a list of NAME=value texts."""
    entries = _or_empty(module.create_options.get("Env"))
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise DeploymentError(f"createOptions.Env of module {module.name} must be a list of NAME=value texts")
    return dict(_pair(entry) for entry in entries)


def arguments(module: ModuleSpec) -> list[str]:
    """Cmd of the createOptions: a list of texts, or one text."""
    command = _or_empty(module.create_options.get("Cmd"))
    if isinstance(command, str):
        return [command]
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise DeploymentError(f"createOptions.Cmd of module {module.name} must be a list of texts")
    return command


def published_ports(module: ModuleSpec) -> dict[str, int]:
    """{"5001/tcp": host port} of HostConfig.PortBindings; a binding without a host port counts as its own port."""
    host_config = _object(module.create_options.get("HostConfig"), "HostConfig", module.name)
    bindings = _object(host_config.get("PortBindings"), "HostConfig.PortBindings", module.name)
    return {port_key(key, module.name): _bound_port(key, value, module.name) for key, value in bindings.items()}


def host_port(module: ModuleSpec, container_port: str) -> int:
    """The host port of `container_port` ("5001/tcp"): the bound one, or the container port itself when unbound."""
    key = port_key(container_port, module.name)
    return published_ports(module).get(key, int(key.partition("/")[0]))


def port_key(text: str, name: str) -> str:
    """`5001` or `5001/tcp` in the form `5001/tcp`; DeploymentError when it is no port."""
    number, _, protocol = text.partition("/")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535:
        raise DeploymentError(f"module {name}: {text!r} is not a container port such as 5001/tcp")
    return f"{int(number)}/{protocol or 'tcp'}"


def port_clash(ports: Iterable[tuple[str, Mapping[str, int]]]) -> str | None:
    """The first clash in `(module, {"5001/tcp": host port})` pairs as one line with both names, or None."""
    owners: dict[tuple[int, str], str] = {}
    for name, bound in ports:
        for key, port in bound.items():
            owner = owners.setdefault((port, key.partition("/")[2]), name)
            if owner != name:
                return f"modules {owner} and {name} both want host port {port}; change HostConfig.PortBindings of one"
    return None


def _pair(entry: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    return name, value


def _bound_port(key: str, bindings: object, name: str) -> int:
    first = bindings[0] if isinstance(bindings, list) and bindings else {}
    text = str(_object(first, f"HostConfig.PortBindings.{key}", name).get("HostPort") or key.partition("/")[0])
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise DeploymentError(f"module {name}: HostPort {text!r} of {key} is not a port from 1 to 65535")
    return int(text)


def _or_empty(value: Any) -> Any:
    return [] if value is None else value


def _object(value: object, where: str, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DeploymentError(f"createOptions.{where} of module {name} must be an object")
    return value
