"""The desired properties of `$edgeAgent` as a deployment, with the status code that a bad one is reported with.

Codes: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins" (lastDesiredStatus).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import ManifestError
from iot_core.manifest.model import ModuleSpec, parse_agent
from local_edge.errors import DeploymentError

__all__ = ["Deployment", "parse_deployment", "same_container"]

BAD_FORMAT, BAD_SCHEMA_VERSION, EMPTY = 400, 412, 417


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A parsed desired section of `$edgeAgent`; `version` is its `$version`."""

    version: int
    modules: Mapping[str, ModuleSpec]
    system_modules: Mapping[str, ModuleSpec]
    runtime_settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def identities(self) -> frozenset[str]:
        """The module identities that this deployment needs, `$edgeAgent` and `$edgeHub` included."""
        return frozenset({"$edgeAgent", "$edgeHub", *self.modules})


def parse_deployment(desired: Mapping[str, Any]) -> Deployment:
    """The deployment in `desired`; DeploymentError with code 417 (empty), 412 (schema) or 400 (anything else)."""
    content = {key: value for key, value in desired.items() if not key.startswith("$")}
    if not content:
        raise DeploymentError("the deployment is empty: apply one to this device", EMPTY)
    try:
        agent = parse_agent(content)
    except ManifestError as error:
        raise DeploymentError(str(error), _code(error)) from None
    return Deployment(
        version=int(desired.get("$version", 0)),
        modules=agent.modules,
        system_modules=agent.system_modules,
        runtime_settings=content["runtime"].get("settings", {}),
    )


def same_container(one: ModuleSpec, other: ModuleSpec) -> bool:
    """True when at most the wanted status differs, so that nothing has to be recreated."""
    return _without_status(one) == _without_status(other)


def _code(error: ManifestError) -> int:
    return BAD_SCHEMA_VERSION if error.path.endswith(".schemaVersion") else BAD_FORMAT


def _without_status(module: ModuleSpec) -> tuple[object, ...]:
    return (
        module.image,
        module.type,
        module.restart_policy,
        module.startup_order,
        module.version,
        module.pull_policy,
        dict(module.env),
        dict(module.create_options),
    )
