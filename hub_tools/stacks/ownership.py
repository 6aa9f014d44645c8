"""How a stack's configurations are known in the hub: their ids and labels, and the bands of priorities they take.

IoT Hub cannot change the content of a configuration, so new content comes as a new one beside the old: an item of
priority p is at p when it is settled and comes in at p + 1, where it wins over the one that it replaces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub_tools.manifests import Deployment, Layer
from iot_core.json_types import JsonObject

__all__ = [
    "BAND",
    "ENVIRONMENT",
    "HASH",
    "LEASE",
    "NAME",
    "REPLACES",
    "STACK",
    "TRIAL",
    "VERSION",
    "Owned",
    "content_hash",
    "id_of",
    "is_lease",
    "is_on_trial",
    "labels_of",
    "lease_id",
    "owned_by",
]

STACK, ENVIRONMENT, NAME = "edgeyard-stack", "edgeyard-environment", "edgeyard-name"
VERSION, HASH = "edgeyard-version", "edgeyard-hash"
LEASE = "edgeyard-lease"
"""Marks the configuration that says who changes a stack now."""
TRIAL, REPLACES = "edgeyard-trial", "edgeyard-replaces"
"""What a configuration bears until devices have reported success, and the id of the one that it is to replace."""
BAND = 2
"""Priorities that an item takes: its own, and the next one for its successor on the way in."""


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A configuration in the hub that a stack made."""

    name: str
    version: int
    configuration: JsonObject

    @property
    def id(self) -> str:
        return str(self.configuration["id"])


def id_of(stack: str, environment: str, name: str, version: int) -> str:
    """The configuration's id: "fleet-prod-base-7"."""
    return f"{stack}-{environment}-{name}-{version}"


def lease_id(stack: str, environment: str) -> str:
    """The id of the configuration that is the lease on a stack's environment."""
    return f"edgeyard-lease-{stack}-{environment}"


def is_lease(configuration: JsonObject) -> bool:
    """Whether it is nothing but the lease on a stack."""
    return LEASE in (configuration.get("labels") or {})


def is_on_trial(configuration: JsonObject) -> bool:
    """Whether an `up` made it that has not come to its end."""
    return TRIAL in (configuration.get("labels") or {})


def labels_of(stack: str, environment: str, item: Deployment | Layer, version: int) -> dict[str, str]:
    """The item's own labels, and those by which the stack finds it again."""
    return {
        **item.labels,
        STACK: stack,
        ENVIRONMENT: environment,
        NAME: item.name,
        VERSION: str(version),
        HASH: content_hash(item.to_content()),
    }


def content_hash(content: JsonObject) -> str:
    """Twelve hexadecimal digits that stand for a content, with its secrets as references."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def owned_by(stack: str, environment: str, configurations: Iterable[JsonObject]) -> dict[str, list[Owned]]:
    """A stack's configurations by item, the newest version first."""
    found: dict[str, list[Owned]] = {}
    for configuration in configurations:
        labels: Mapping[str, str] = configuration.get("labels") or {}
        if labels.get(STACK) == stack and labels.get(ENVIRONMENT) == environment and NAME in labels:
            version = labels.get(VERSION, "0")
            owned = Owned(
                name=labels[NAME], version=int(version) if version.isdecimal() else 0, configuration=configuration
            )
            found.setdefault(owned.name, []).append(owned)
    for versions in found.values():
        versions.sort(key=lambda owned: -owned.version)
    return found
