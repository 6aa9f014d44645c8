"""The volumes of a module in a cluster: claims for those that outlive it, folders of the node, memory."""

from __future__ import annotations

import re

from hub_tools.export.plain import TWIN_PATH, Plain
from hub_tools.export.volumes import Volume, take_volumes
from iot_core.json_types import JsonObject

__all__ = ["volumes_of"]

TWIN_VOLUME = "twin"


def volumes_of(
    module: Plain, *, name: str, warnings: list[str]
) -> tuple[list[JsonObject], list[JsonObject], list[str]]:
    """The pod's volumes, the container's mounts, and the names of the claims."""
    volumes: list[JsonObject] = []
    mounts: list[JsonObject] = []
    claims: list[str] = []
    if module.twin is not None:
        volumes.append({"name": TWIN_VOLUME, "configMap": {"name": name}})
        mounts.append({"name": TWIN_VOLUME, "mountPath": TWIN_PATH.rpartition("/")[0], "readOnly": True})
    for number, volume in enumerate(take_volumes(module.name, module.options, warnings)):
        own = f"volume-{number}"
        volumes.append({"name": own, **_source(module, volume, name, number, claims, warnings)})
        mounts.append({"name": own, "mountPath": volume.target, **({"readOnly": True} if volume.read_only else {})})
    if size := module.options.take("HostConfig.ShmSize"):
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    return volumes, mounts, claims


def _source(
    module: Plain, volume: Volume, name: str, number: int, claims: list[str], warnings: list[str]
) -> JsonObject:
    if volume.kind == "tmpfs":
        return {"emptyDir": {"medium": "Memory"}}
    if volume.mode:
        warnings.append(f"{module.name}: the flags {volume.mode} of {volume.target} cannot be carried over")
    if volume.kind == "bind":
        warnings.append(f"{module.name}: {volume.source} is a folder of whichever node the pod runs on")
        return {"hostPath": {"path": volume.source}}
    part = re.sub(r"[^a-z0-9]+", "-", volume.source.lower()).strip("-") or f"volume-{number}"
    claims.append(f"{name}-{part}"[:63].rstrip("-"))
    return {"persistentVolumeClaim": {"claimName": claims[-1]}}
