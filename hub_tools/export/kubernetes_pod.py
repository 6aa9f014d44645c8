"""A module as a pod with one container.

Sources: Kubernetes API reference, "PodSpec" and "Container"; Docker Engine API, "Create a container".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub_tools.export.kubernetes_volumes import volumes_of
from hub_tools.export.plain import Options, Plain
from hub_tools.manifests.create_options import PortBinding
from hub_tools.manifests.secrets import SECRET
from iot_core.json_types import JsonObject

__all__ = ["TWIN_KEY", "Pod", "pod_of"]

TWIN_KEY = "twin.json"
MONITORING_PORT = 9600
"""Of every module on modules/common/frame.py: /live, /ready and /metrics."""
GPU = "nvidia.com/gpu"
DEFAULT_CPU_REQUEST = "250m"
"""Asked for where a module has no limit; what autoscaling by percent is a percent of."""
NANO_PER_MILLI = 1_000_000
HELPER = "SECRET_"
_USER = re.compile(r"(\d+)(?::(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Pod:
    """`ports` are all that the container listens on, `claims` the volumes that outlive it."""

    spec: JsonObject
    annotations: Mapping[str, str]
    ports: Sequence[PortBinding]
    claims: Sequence[str]
    has_cpu_limit: bool
    cpu_request: str


def pod_of(module: Plain, *, name: str, secret: str, probes: bool, warnings: list[str]) -> Pod:
    """The pod; what it cannot say of the module goes into `warnings`. `secret` is the Secret with all values."""
    options = module.options
    ports = _ports(module)
    volumes, mounts, claims = volumes_of(module, name=name, warnings=warnings)
    resources = _resources(module.name, options, warnings)
    container: JsonObject = {
        "name": name,
        "image": module.image,
        "imagePullPolicy": "Never" if module.module.image_pull_policy == "never" else "IfNotPresent",
        **_command(options),
        "env": list(_env(module, secret)),
        "ports": [{"containerPort": port.container_port, "protocol": port.protocol.upper()} for port in ports],
        "resources": resources,
        **(_probes(module, ports) if probes else {}),
        "volumeMounts": mounts,
        "securityContext": _container_security(options),
    }
    container |= _taken(options, {"WorkingDir": "workingDir", "Tty": "tty", "OpenStdin": "stdin"})
    spec = {
        "containers": [{key: value for key, value in container.items() if value not in ({}, [], None)}],
        "volumes": volumes,
        "automountServiceAccountToken": False,
        **_pod_settings(module, warnings),
    }
    annotations = {str(key): str(value) for key, value in options.take("Labels", {}).items()}
    _warn_of_the_rest(module, warnings)
    limits = resources.get("limits", {})
    return Pod(
        spec={key: value for key, value in spec.items() if value not in ({}, [], None)},
        annotations=annotations,
        ports=ports,
        claims=claims,
        has_cpu_limit="cpu" in limits,
        cpu_request=resources["requests"]["cpu"],
    )


def _ports(module: Plain) -> list[PortBinding]:
    """What is bound on the host and what is only exposed, each once."""
    bound = module.module.options.port_bindings
    module.options.take("HostConfig.PortBindings")
    exposed = []
    for key in module.options.take("ExposedPorts", {}):
        number, _, protocol = str(key).partition("/")
        exposed.append(PortBinding(container_port=int(number), protocol=protocol or "tcp"))
    found = {(port.container_port, port.protocol): port for port in [*exposed, *bound]}
    return list(found.values())


def _command(options: Options) -> JsonObject:
    """Kubernetes' command is the entry point, its args are the command."""
    found: JsonObject = {}
    for path, key in {"Entrypoint": "command", "Cmd": "args"}.items():
        value = options.take(path)
        if value:
            parts = [value] if isinstance(value, str) else value
            found[key] = [_with_variables(str(part)) for part in parts]
    return found


def _env(module: Plain, secret: str) -> Iterator[JsonObject]:
    """The variables; those with secrets in them after helpers that hold one secret each."""
    texts = [*module.env.values(), *module.arguments]
    embedded = {name for text in texts if SECRET.fullmatch(text) is None for name in SECRET.findall(text)}
    in_arguments = {name for text in module.arguments for name in SECRET.findall(text)}
    for name in sorted(embedded | in_arguments):
        yield {"name": f"{HELPER}{name}", "valueFrom": _key_of(secret, name)}
    for name, value in module.env.items():
        whole = SECRET.fullmatch(value)
        if whole:
            yield {"name": name, "valueFrom": _key_of(secret, whole[1])}
        else:
            yield {"name": name, "value": _with_variables(value)}


def _key_of(secret: str, key: str) -> JsonObject:
    return {"secretKeyRef": {"name": secret, "key": key}}


def _with_variables(text: str) -> str:
    """Literal $( escaped, references as the helpers' values."""
    parts = SECRET.split(text)
    parts[::2] = [part.replace("$(", "$$(") for part in parts[::2]]
    parts[1::2] = [f"$({HELPER}{name})" for name in parts[1::2]]
    return "".join(parts)


def _resources(name: str, options: Options, warnings: list[str]) -> JsonObject:
    limits: JsonObject = {}
    requests: JsonObject = {"cpu": DEFAULT_CPU_REQUEST}
    if memory := options.take("HostConfig.Memory"):
        limits["memory"] = requests["memory"] = str(memory)
    if reserved := options.take("HostConfig.MemoryReservation"):
        requests["memory"] = str(reserved)
    if nano := options.take("HostConfig.NanoCpus"):
        limits["cpu"] = requests["cpu"] = f"{max(1, nano // NANO_PER_MILLI)}m"
    for request in options.take("HostConfig.DeviceRequests", []):
        limits |= _gpu(name, request, warnings)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _gpu(name: str, request: JsonObject, warnings: list[str]) -> JsonObject:
    wanted = {each for group in request.get("Capabilities") or [["gpu"]] for each in group}
    if request.get("Driver", "nvidia") not in ("", "nvidia") or "gpu" not in wanted:
        warnings.append(
            f"{name}: createOptions.HostConfig.DeviceRequests of {request.get('Driver')} cannot be carried over"
        )
        return {}
    if request.get("DeviceIDs"):
        warnings.append(f"{name}: which GPUs is the cluster's choice, not {', '.join(request['DeviceIDs'])}")
    count = len(request.get("DeviceIDs") or []) or request.get("Count") or 1
    if count < 0:
        warnings.append(f"{name}: asks for all GPUs of the device, here for one ({GPU})")
    return {GPU: max(count, 1)}


def _probes(module: Plain, ports: Sequence[PortBinding]) -> JsonObject:
    """By the frame's health for modules that speak to IoT Edge, else by what the module itself says or listens on."""
    check = module.options.take("Healthcheck", {})
    if module.twin is not None and not check.get("Test"):
        live = {"httpGet": {"path": "/live", "port": MONITORING_PORT}}
        return {
            "startupProbe": {**live, "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {**live, "periodSeconds": 30, "timeoutSeconds": 5},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": MONITORING_PORT}, "periodSeconds": 10},
        }
    if (test := check.get("Test")) and test[0] in ("CMD", "CMD-SHELL"):
        return {"livenessProbe": _exec_probe(test, check)}
    tcp = next((port.container_port for port in ports if port.protocol == "tcp"), None)
    return {"readinessProbe": {"tcpSocket": {"port": tcp}, "periodSeconds": 10}} if tcp else {}


def _exec_probe(test: list[str], check: JsonObject) -> JsonObject:
    command = test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", *test[1:]]
    names = {"Interval": "periodSeconds", "Timeout": "timeoutSeconds", "StartPeriod": "initialDelaySeconds"}
    found: JsonObject = {"exec": {"command": command}}
    found |= {key: max(1, round(check[name] / 1e9)) for name, key in names.items() if check.get(name)}
    return found | ({"failureThreshold": check["Retries"]} if check.get("Retries") else {})


def _container_security(options: Options) -> JsonObject:
    found = _taken(
        options, {"HostConfig.Privileged": "privileged", "HostConfig.ReadonlyRootfs": "readOnlyRootFilesystem"}
    )
    names = {"add": "HostConfig.CapAdd", "drop": "HostConfig.CapDrop"}
    lists = {key: [str(each).removeprefix("CAP_") for each in options.take(path, [])] for key, path in names.items()}
    if kept := {key: value for key, value in lists.items() if value}:
        found["capabilities"] = kept
    return found


def _pod_settings(module: Plain, warnings: list[str]) -> JsonObject:
    options = module.options
    found: JsonObject = _taken(options, {"Hostname": "hostname", "StopTimeout": "terminationGracePeriodSeconds"})
    for path, key in {"NetworkMode": "hostNetwork", "PidMode": "hostPID", "IpcMode": "hostIPC"}.items():
        mode = options.take(f"HostConfig.{path}")
        if mode == "host":
            found[key] = True
        elif mode not in (None, "", "default", "bridge", "private", "azure-iot-edge"):
            warnings.append(f"{module.name}: createOptions.HostConfig.{path} {mode} cannot be carried over")
    if found.get("hostNetwork"):
        found["dnsPolicy"] = "ClusterFirstWithHostNet"
    endpoints = options.take("NetworkingConfig.EndpointsConfig", {})
    options.take("NetworkingConfig")
    if other := sorted(set(endpoints) - {"host", "azure-iot-edge"}):
        warnings.append(f"{module.name}: createOptions.NetworkingConfig {', '.join(other)} cannot be carried over")
    servers = {"nameservers": options.take("HostConfig.Dns"), "searches": options.take("HostConfig.DnsSearch")}
    if any(servers.values()):
        found["dnsConfig"] = {key: value for key, value in servers.items() if value}
    if hosts := options.take("HostConfig.ExtraHosts"):
        pairs = (str(each).rpartition(":") if str(each).count(":") == 1 else str(each).partition(":") for each in hosts)
        found["hostAliases"] = [{"ip": address, "hostnames": [host]} for host, _, address in pairs]
    return found | {"securityContext": _pod_security(module, warnings)}


def _pod_security(module: Plain, warnings: list[str]) -> JsonObject:
    found: JsonObject = {}
    user = module.options.take("User")
    match = _USER.fullmatch(str(user or ""))
    if match:
        found["runAsUser"] = int(match[1])
        if match[2]:
            found["runAsGroup"] = found["fsGroup"] = int(match[2])
    elif user:
        warnings.append(f"{module.name}: createOptions.User {user} has no number, as a cluster wants it")
    if groups := module.options.take("HostConfig.GroupAdd"):
        numbers = [int(each) for each in groups if str(each).isdecimal()]
        if len(numbers) < len(groups):
            warnings.append(f"{module.name}: createOptions.HostConfig.GroupAdd has names, a cluster wants numbers")
        found |= {"supplementalGroups": numbers} if numbers else {}
    if sysctls := module.options.take("HostConfig.Sysctls"):
        found["sysctls"] = [{"name": key, "value": str(value)} for key, value in sysctls.items()]
    return found


def _taken(options: Options, names: Mapping[str, str]) -> JsonObject:
    values = {key: options.take(path) for path, key in names.items()}
    return {key: value for key, value in values.items() if value not in (None, "", False, 0)}


def _warn_of_the_rest(module: Plain, warnings: list[str]) -> None:
    policy = module.module.restart_policy
    if policy not in (None, "always", "on-unhealthy"):
        warnings.append(f"{module.name}: restartPolicy {policy} cannot be carried over: a cluster always restarts it")
    if module.module.startup_order is not None:
        warnings.append(f"{module.name}: startupOrder cannot be carried over: a cluster starts all at once")
    left: Any = module.options.left()
    warnings += [f"{module.name}: createOptions.{path} cannot be carried over" for path in left]
