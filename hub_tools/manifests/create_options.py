"""createOptions as an object: the container options of a module, built by name and read by name.

The JSON that the container engine gets is kept whole in `document`, so options without a name here pass through
untouched.
Source: IoT Edge documentation, "How to configure container create options for IoT Edge modules".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = ["CreateOptions", "LogConfig", "PortBinding", "Ports"]

HostPort = int | str | None
Ports = Mapping[Any, HostPort | Sequence[HostPort]]
"""Container port ("5000", 5000 or "53/udp") → host port, "address:port", None for any free one, or several of these."""

_BYTES = re.compile(r"(\d+)\s*([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_NANO = 1_000_000_000
_PORT_KEY = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class PortBinding:
    """A container port bound on the host; `host_port` "" means any free one, `host_ip` "" every address."""

    container_port: int
    protocol: str = "tcp"
    host_port: str = ""
    host_ip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """HostConfig.LogConfig; `options` are texts ("max-size": "10m")."""

    type: str = "json-file"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """Container options; build them with `CreateOptions.of`, or wrap a JSON document as it is."""

    document: JsonObject = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        env: Mapping[str, str] | None = None,
        ports: Ports | None = None,
        binds: Sequence[str] = (),
        mounts: Sequence[JsonObject] = (),
        network_mode: str | None = None,
        gpu: bool | int = False,
        device_requests: Sequence[JsonObject] = (),
        log: LogConfig | None = None,
        memory: int | str | None = None,
        cpus: float | None = None,
        privileged: bool = False,
        extra: JsonObject | None = None,
    ) -> CreateOptions:
        """Options by name.

        `gpu` asks for all NVIDIA GPUs, or for that many; `memory` is bytes or "512m"; `cpus` may be a fraction;
        `network_mode="host"` also names the host network, without which the agent adds its own and the engine refuses.
        `extra` is merged in last, at any depth. Raises ManifestError with the name of what is wrong.
        """
        host: JsonObject = {}
        document: JsonObject = {}
        if env:
            document["Env"] = [f"{name}={value}" for name, value in env.items()]
        if ports:
            bindings = _bindings(ports)
            document["ExposedPorts"] = {key: {} for key in bindings}
            host["PortBindings"] = bindings
        if network_mode == "host":
            document["NetworkingConfig"] = {"EndpointsConfig": {"host": {}}}
        requests = [*device_requests, *([_gpu_request(gpu)] if gpu else [])]
        host |= _without_empty(
            {
                "Binds": list(binds),
                "Mounts": list(mounts),
                "NetworkMode": network_mode,
                "DeviceRequests": requests,
                "LogConfig": {"Type": log.type, "Config": dict(log.options)} if log else None,
                "Memory": _memory(memory),
                "NanoCpus": round(cpus * _NANO) if cpus else None,
                "Privileged": True if privileged else None,
            }
        )
        if host:
            document["HostConfig"] = host
        return cls(_merged(document, extra or {}))

    @property
    def host_config(self) -> JsonObject:
        value = self.document.get("HostConfig")
        return value if isinstance(value, dict) else {}

    @property
    def env(self) -> dict[str, str]:
        """The variables of Env by name; an entry without = has no value."""
        entries = self.document.get("Env") or []
        pairs = (entry.partition("=") for entry in entries if isinstance(entry, str))
        return {name: value for name, _, value in pairs}

    @property
    def port_bindings(self) -> list[PortBinding]:
        """HostConfig.PortBindings one by one; raises ManifestError for one that the engine would not read."""
        found = self.host_config.get("PortBindings") or {}
        if not isinstance(found, dict):
            raise ManifestError("must be an object", path="HostConfig.PortBindings")
        return [binding for key, entries in found.items() for binding in _read_bindings(key, entries)]

    @property
    def binds(self) -> list[str]:
        return list(self.host_config.get("Binds") or [])

    @property
    def mounts(self) -> list[JsonObject]:
        return list(self.host_config.get("Mounts") or [])

    @property
    def network_mode(self) -> str | None:
        return self.host_config.get("NetworkMode")

    @property
    def device_requests(self) -> list[JsonObject]:
        return list(self.host_config.get("DeviceRequests") or [])

    @property
    def memory(self) -> int | None:
        """The memory limit in bytes; None or 0 where there is none."""
        return self.host_config.get("Memory")

    @property
    def cpus(self) -> float | None:
        nano = self.host_config.get("NanoCpus")
        return nano / _NANO if nano else None

    @property
    def privileged(self) -> bool:
        return self.host_config.get("Privileged") is True

    def merged(self, extra: JsonObject) -> CreateOptions:
        """These options with others over them, at any depth; None removes one."""
        return CreateOptions(_merged(self.document, extra))


def _bindings(ports: Ports) -> JsonObject:
    bindings: JsonObject = {}
    for container, host in ports.items():
        entries = host if isinstance(host, list | tuple) else [host]
        bindings[_port_key(str(container))] = [_binding(entry, container) for entry in entries]
    return bindings


def _port_key(text: str) -> str:
    match = _PORT_KEY.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 65_535:
        raise ManifestError(f"{text[:40]!r} is not a container port such as 5000 or 53/udp", path="ports")
    return f"{int(match[1])}/{match[2] or 'tcp'}"


def _binding(host: Any, container: int | str) -> JsonObject:
    address, _, port = str(host if host is not None else "").rpartition(":")
    if port and not (port.isdecimal() and 1 <= int(port) <= 65_535):
        raise ManifestError(f"{host!r} is not a host port such as 5000 or 127.0.0.1:5000", path=f"ports.{container}")
    return {"HostPort": port, "HostIp": address} if address else {"HostPort": port}


def _read_bindings(key: str, entries: Any) -> Iterable[PortBinding]:
    path = f"HostConfig.PortBindings.{key}"
    number, _, protocol = _checked(key, path).partition("/")
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ManifestError('must be a list such as [{"HostPort": "5000"}]', path=path)
    return [
        PortBinding(
            container_port=int(number),
            protocol=protocol,
            host_port=str(entry.get("HostPort") or ""),
            host_ip=str(entry.get("HostIp") or ""),
        )
        for entry in entries
    ]


def _checked(key: str, path: str) -> str:
    try:
        return _port_key(key)
    except ManifestError as error:
        raise ManifestError(str(error).removeprefix("ports: "), path=path) from None


def _gpu_request(gpu: bool | int) -> JsonObject:
    return {"Driver": "nvidia", "Count": -1 if gpu is True else int(gpu), "Capabilities": [["gpu"]]}


def _memory(value: int | str | None) -> int | None:
    if value is None or isinstance(value, int):
        return value
    match = _BYTES.fullmatch(value.strip())
    if match is None:
        raise ManifestError(f"{value!r} is not a size such as 512m or 2g", path="memory")
    return int(match[1]) * _UNITS[match[2].lower()]


def _without_empty(values: JsonObject) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _merged(low: JsonObject, high: JsonObject) -> JsonObject:
    result = deepcopy(low)
    for name, value in high.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merged(result[name], value)
        else:
            result[name] = deepcopy(value)
    return result
