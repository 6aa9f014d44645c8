"""V03, V05, V06, V07, V15 and V17: what a module's entry says to the container engine.

Sources: IoT Edge documentation, "How to configure container create options for IoT Edge modules"; the Docker Engine
API, "Create a container".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.manifest.createoptions import is_options_key, parse_options
from iot_core.manifest.validation.notes import Note, error, info, warning
from iot_core.manifest.validation.reading import Entry, Reading, as_object

__all__ = ["host_network", "images", "option_chunks", "option_shapes", "restart_policy_of_docker", "unhealthy"]

_CONTAINER_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(?:tcp|udp|sctp))?", re.ASCII)
_HOST_PORT = re.compile(r"(?:(\d{1,5})(?:-(\d{1,5}))?)?", re.ASCII)
_UPSTREAM = re.compile(r"\$upstream(?!:\d+/)", re.IGNORECASE)
_PORT_MAX = 65_535


def option_chunks(reading: Reading) -> Iterator[Note]:
    """V03: createOptions are text, in chunks without a gap that make a JSON object."""
    for entry in reading.modules:
        path = f"{entry.path}.settings"
        try:
            parse_options(entry.settings, path=path)
        except ManifestError as refused:
            yield error(refused.path, str(refused.args[0]), "Write the options as compact JSON text, cut at 512")
        chunks = {key: value for key, value in entry.settings.items() if is_options_key(key)}
        for key, value in chunks.items():
            if isinstance(value, str) and _units(value) > limits.CREATE_OPTIONS_CHUNK_CHARACTERS:
                message = f"{_units(value)} characters: a chunk has up to {limits.CREATE_OPTIONS_CHUNK_CHARACTERS}"
                yield error(f"{path}.{key}", message, "Go on in createOptions01, createOptions02 …")
        if limits.CREATE_OPTIONS_CHUNKS < len(chunks) <= limits.CREATE_OPTIONS_CHUNKS_AGENT:
            message = f"{len(chunks)} chunks: tools stop at {limits.CREATE_OPTIONS_CHUNKS}, the agent reads 100"
            yield warning(f"{path}.createOptions", message, "Shorten the options")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def option_shapes(reading: Reading) -> Iterator[Note]:
    """V05: options in the shape that the engine reads."""
    for entry in reading.modules:
        options, host, path = entry.options, entry.host_config, entry.options_path
        yield from _object(options, "HostConfig", path)
        yield from _exposed(options.get("ExposedPorts"), f"{path}.ExposedPorts")
        yield from _bindings(host.get("PortBindings"), f"{path}.HostConfig.PortBindings")
        yield from _env(options.get("Env"), f"{path}.Env")
        yield from _env_twice(entry)
        yield from _requests(host.get("DeviceRequests"), f"{path}.HostConfig.DeviceRequests")
        for name in ("Memory", "NanoCpus", "CpuQuota", "ShmSize"):
            if not isinstance(host.get(name, 0), int):
                message = "is not a whole number"
                yield error(f"{path}.HostConfig.{name}", message, "Write bytes (or billionths of a CPU), not text")
        yield from _texts(host.get("Binds"), f"{path}.HostConfig.Binds", '["/host:/container:ro"]')
        yield from _mounts(host.get("Mounts"), f"{path}.HostConfig.Mounts")
        log = as_object(as_object(host.get("LogConfig")).get("Config"))
        for name, value in log.items():
            if not isinstance(value, str):
                yield error(f"{path}.HostConfig.LogConfig.Config.{name}", "is not text", 'Write it in quotes: "3"')


def _object(options: dict[str, Any], key: str, path: str) -> Iterator[Note]:
    if not isinstance(options.get(key) or {}, dict):
        yield error(f"{path}.{key}", "is not an object", "Write {…}")


def _exposed(ports: Any, path: str) -> Iterator[Note]:
    if ports is None:
        return
    if not isinstance(ports, dict):
        yield error(path, "is not an object", 'Write {"5000/tcp": {}}')
        return
    for key, value in ports.items():
        yield from _container_port(key, path)
        if value != {} or not isinstance(value, dict):
            yield error(f"{path}.{key}", "must be an empty object", "Write {}")


def _container_port(key: str, path: str) -> Iterator[Note]:
    if not _is_port(_CONTAINER_PORT.fullmatch(key)):
        yield error(f"{path}.{key}", "is not a container port", "Write port/protocol, such as 5000/tcp")


def _is_port(match: re.Match[str] | None) -> bool:
    return match is not None and all(1 <= int(port) <= _PORT_MAX for port in match.groups() if port)


def _bindings(bindings: Any, path: str) -> Iterator[Note]:
    if bindings is None:
        return
    if not isinstance(bindings, dict):
        yield error(path, "is not an object", 'Write {"80/tcp": [{"HostPort": "8080"}]}')
        return
    for key, entries in bindings.items():
        yield from _container_port(key, path)
        if entries is not None and not isinstance(entries, list):
            yield error(f"{path}.{key}", "is not a list", 'Write [{"HostPort": "8080"}]')
            continue
        for index, entry in enumerate(entries or []):
            yield from _binding(entry, f"{path}.{key}[{index}]")


def _binding(entry: Any, path: str) -> Iterator[Note]:
    if not isinstance(entry, dict):
        yield error(path, "is not an object", 'Write {"HostPort": "8080"}')
        return
    port = entry.get("HostPort", "")
    if not isinstance(port, str):
        yield error(f"{path}.HostPort", "is not text", f'Write it in quotes: "{str(port)[:8]}"')
    elif not _is_port(_HOST_PORT.fullmatch(port)):
        yield error(f"{path}.HostPort", f"{port[:20]!r} is not a host port", "Use 1 to 65535, a range, or nothing")
    if not isinstance(entry.get("HostIp", ""), str):
        yield error(f"{path}.HostIp", "is not text", 'Write an address in quotes: "127.0.0.1"')


def _env(env: Any, path: str) -> Iterator[Note]:
    yield from _texts(env, path, '["NAME=value"]')
    if isinstance(env, list):
        names = [entry.partition("=")[0] for entry in env if isinstance(entry, str)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield warning(path, f"{name} is set twice", "Keep one: the last one wins")


def _env_twice(entry: Entry) -> Iterator[Note]:
    given = entry.options.get("Env")
    names = {item.partition("=")[0] for item in given if isinstance(item, str)} if isinstance(given, list) else set()
    for name in sorted(names & as_object(entry.value.get("env")).keys()):
        yield warning(f"{entry.path}.env.{name}", "is set in Env of createOptions too, which wins", "Keep one of them")


def _texts(value: Any, path: str, shape: str) -> Iterator[Note]:
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        yield error(path, "is not a list of texts", f"Write {shape}")


def _requests(requests: Any, path: str) -> Iterator[Note]:
    if requests is None:
        return
    if not isinstance(requests, list):
        yield error(path, "is not a list", "Write [{…}]")
        return
    for index, request in enumerate(requests):
        names = as_object(request).get("Capabilities") or []
        if not isinstance(names, list) or not all(isinstance(item, list) for item in names):
            yield error(f"{path}[{index}].Capabilities", "is not a list of lists", 'Write [["gpu"]]')


def _mounts(mounts: Any, path: str) -> Iterator[Note]:
    if mounts is None:
        return
    if not isinstance(mounts, list):
        yield error(path, "is not a list", 'Write [{"Type": "volume", "Source": "data", "Target": "/data"}]')
        return
    for index, mount in enumerate(mounts):
        if not isinstance(as_object(mount).get("Target"), str):
            yield error(f"{path}[{index}].Target", "is missing or not text", "Name the path in the container")
        if as_object(mount).get("Type") not in ("bind", "volume", "tmpfs"):
            yield error(f"{path}[{index}].Type", "is not one that the agent passes on", "Use bind, volume or tmpfs")


def host_network(reading: Reading) -> Iterator[Note]:
    """V06: the host's network takes no port bindings, and has to be named as an endpoint too."""
    for entry in (entry for entry in reading.modules if entry.host_network):
        path = f"{entry.options_path}.HostConfig"
        if entry.host_config.get("PortBindings"):
            message = "the module is on the host's network, where ports are not bound"
            yield warning(f"{path}.PortBindings", message, "Remove them: the module's ports are the host's")
        networking = as_object(entry.options.get("NetworkingConfig"))
        if "host" not in as_object(networking.get("EndpointsConfig")):
            message = "the agent adds the edge's network to it, which the engine refuses beside host"
            fix = 'Add "NetworkingConfig": {"EndpointsConfig": {"host": {}}} to createOptions'
            yield warning(f"{path}.NetworkMode", message, fix)


def restart_policy_of_docker(reading: Reading) -> Iterator[Note]:
    """V07: two restart policies fight each other."""
    for entry in reading.modules:
        policy = entry.host_config.get("RestartPolicy")
        name = as_object(policy).get("Name")
        if policy and name not in ("", "no"):
            path = f"{entry.options_path}.HostConfig.RestartPolicy"
            yield warning(
                path, "the engine would restart the module beside the agent", "Use the module's restartPolicy"
            )


def images(reading: Reading) -> Iterator[Note]:
    """V15: which image runs is left to chance, or to nobody."""
    for entry in reading.modules:
        image, path = entry.settings.get("image"), f"{entry.path}.settings.image"
        if not isinstance(image, str) or not image.strip() or "${" in image:
            continue
        name = image.strip()
        if _UPSTREAM.match(name):
            yield warning(path, "$upstream without a port is taken as a name", "Write $upstream:443/image:tag")
        if "@" in name:
            continue
        tag = name.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            what = "has no tag, so latest is pulled" if not tag else "is latest"
            yield warning(path, f"{what}: devices get whatever that is when they pull", "Name a version")


def unhealthy(reading: Reading) -> Iterator[Note]:
    """V17: a policy that does not what it says."""
    for entry in reading.modules:
        if entry.value.get("restartPolicy") == "on-unhealthy":
            message = "on-unhealthy acts as on-failure: the agent knows of no health checks"
            yield info(f"{entry.path}.restartPolicy", message, "Write on-failure or always")
