"""createOptions in the words of compose.

Sources: Docker Engine API, "Create a container"; Compose specification, "Services top-level elements".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub_tools.export.plain import Options
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = ["take_options"]

NANO = 1_000_000_000
EDGE_NETWORK = "azure-iot-edge"
"""The network that the agent puts modules on; compose makes one of its own for them."""


def _seconds(value: int) -> str:
    return f"{value}s"


def _duration(nanoseconds: int) -> str:
    return f"{nanoseconds / NANO:g}s"


def _bytes(value: int) -> str:
    return f"{value}b"


def _healthcheck(value: JsonObject) -> JsonObject:
    names = {"Interval": "interval", "Timeout": "timeout", "StartPeriod": "start_period"}
    found: JsonObject = {"test": value["Test"]} if value.get("Test") else {}
    found |= {name: _duration(value[key]) for key, name in names.items() if value.get(key)}
    return found | ({"retries": value["Retries"]} if value.get("Retries") else {})


def _ulimits(value: list[JsonObject]) -> JsonObject:
    return {item["Name"]: {"soft": item["Soft"], "hard": item["Hard"]} for item in value}


def _devices(value: list[JsonObject]) -> list[str]:
    return [
        ":".join((item["PathOnHost"], item["PathInContainer"], item.get("CgroupPermissions") or "rwm"))
        for item in value
    ]


def _logging(value: JsonObject) -> JsonObject:
    return {"driver": value.get("Type") or "json-file", "options": dict(value.get("Config") or {})}


def _gpus(value: list[JsonObject]) -> JsonObject:
    return {"resources": {"reservations": {"devices": [_gpu(item) for item in value]}}}


def _gpu(item: JsonObject) -> JsonObject:
    count = item.get("Count") or 0
    which: JsonObject = {"device_ids": item["DeviceIDs"]} if item.get("DeviceIDs") else {}
    if not which:
        which = {"count": "all" if count < 0 else count}
    capabilities = [name for group in item.get("Capabilities") or [["gpu"]] for name in group]
    options = {"options": item["Options"]} if item.get("Options") else {}
    return {"driver": item.get("Driver") or "nvidia", **which, "capabilities": capabilities, **options}


def _exposed(value: JsonObject) -> list[str]:
    return [key.removesuffix("/tcp") for key in value]


_TABLE: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "Cmd": ("command", None),
    "Entrypoint": ("entrypoint", None),
    "WorkingDir": ("working_dir", None),
    "User": ("user", None),
    "Hostname": ("hostname", None),
    "Domainname": ("domainname", None),
    "MacAddress": ("mac_address", None),
    "Labels": ("labels", None),
    "Tty": ("tty", None),
    "OpenStdin": ("stdin_open", None),
    "StopSignal": ("stop_signal", None),
    "StopTimeout": ("stop_grace_period", _seconds),
    "Healthcheck": ("healthcheck", _healthcheck),
    "ExposedPorts": ("expose", _exposed),
    "HostConfig.Privileged": ("privileged", None),
    "HostConfig.CapAdd": ("cap_add", None),
    "HostConfig.CapDrop": ("cap_drop", None),
    "HostConfig.Dns": ("dns", None),
    "HostConfig.DnsSearch": ("dns_search", None),
    "HostConfig.DnsOptions": ("dns_opt", None),
    "HostConfig.ExtraHosts": ("extra_hosts", None),
    "HostConfig.GroupAdd": ("group_add", None),
    "HostConfig.IpcMode": ("ipc", None),
    "HostConfig.PidMode": ("pid", None),
    "HostConfig.UsernsMode": ("userns_mode", None),
    "HostConfig.ReadonlyRootfs": ("read_only", None),
    "HostConfig.SecurityOpt": ("security_opt", None),
    "HostConfig.ShmSize": ("shm_size", _bytes),
    "HostConfig.Sysctls": ("sysctls", None),
    "HostConfig.Init": ("init", None),
    "HostConfig.Runtime": ("runtime", None),
    "HostConfig.CgroupParent": ("cgroup_parent", None),
    "HostConfig.OomKillDisable": ("oom_kill_disable", None),
    "HostConfig.OomScoreAdj": ("oom_score_adj", None),
    "HostConfig.PidsLimit": ("pids_limit", None),
    "HostConfig.Memory": ("mem_limit", _bytes),
    "HostConfig.MemoryReservation": ("mem_reservation", _bytes),
    "HostConfig.MemorySwap": ("memswap_limit", None),
    "HostConfig.MemorySwappiness": ("mem_swappiness", None),
    "HostConfig.NanoCpus": ("cpus", lambda value: value / NANO),
    "HostConfig.CpuShares": ("cpu_shares", None),
    "HostConfig.CpuQuota": ("cpu_quota", None),
    "HostConfig.CpuPeriod": ("cpu_period", None),
    "HostConfig.CpusetCpus": ("cpuset", None),
    "HostConfig.Devices": ("devices", _devices),
    "HostConfig.DeviceCgroupRules": ("device_cgroup_rules", None),
    "HostConfig.DeviceRequests": ("deploy", _gpus),
    "HostConfig.Ulimits": ("ulimits", _ulimits),
    "HostConfig.LogConfig": ("logging", _logging),
    "HostConfig.NetworkMode": ("network_mode", None),
}


def take_options(name: str, options: Options, warnings: list[str]) -> JsonObject:
    """What compose has a word for, taken from the options; ManifestError for one that is not shaped as Docker's."""
    found: JsonObject = {}
    for path, (key, convert) in _TABLE.items():
        value = options.take(path)
        if value in (None, "", [], {}, False, 0):
            continue
        try:
            found[key] = convert(value) if convert else value
        except (TypeError, KeyError, AttributeError):
            raise ManifestError("is not shaped as Docker's API has it", path=f"{name}.createOptions.{path}") from None
    if found.get("network_mode") in (EDGE_NETWORK, "default"):
        del found["network_mode"]
    _take_endpoints(name, options, warnings)
    return found


def _take_endpoints(name: str, options: Options, warnings: list[str]) -> None:
    """Endpoints that only name the network are carried over by it."""
    endpoints = options.take("NetworkingConfig.EndpointsConfig", {})
    options.take("NetworkingConfig")
    for network, settings in endpoints.items():
        if settings or network not in ("host", EDGE_NETWORK):
            warnings.append(f"{name}: createOptions.NetworkingConfig.{network} cannot be carried over")
