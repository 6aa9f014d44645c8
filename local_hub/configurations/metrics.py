"""Metrics of configurations: each is a query, and its result the number of that query's rows (IoT Hub documentation,
"Automatic device and module management", metrics; IoT Edge documentation, "Monitor IoT Edge deployments").
"""

from __future__ import annotations

import sqlite3

from iot_core.query import parse
from local_hub.configurations.rows import Entry, Metrics
from local_hub.queries.queries import Queries

__all__ = ["measure", "system_queries"]

_AGENT_REPORTS = "properties.desired.$version = properties.reported.lastDesiredVersion"
_STATUS = "properties.reported.lastDesiredStatus.code"
_ON_EDGE = "capabilities.iotEdge = true"


def measure(connection: sqlite3.Connection, entry: Entry, queries: Queries) -> Metrics:
    """Every metric of a configuration, of what the connection sees."""
    asked = {"metrics": entry.settings.metrics, "systemMetrics": system_queries(entry)}
    return {
        group: {name: queries.count(connection, parse(text)) if text else 0 for name, text in texts.items()}
        for group, texts in asked.items()
    }


def system_queries(entry: Entry) -> dict[str, str]:
    """The metrics that every configuration has; a query is empty when the configuration targets nobody."""
    kind, where = entry.settings.content.kind, entry.settings.target.where
    applied = f"configurations.[[{entry.id}]].status = 'Applied'"
    if kind == "modulesContent":
        agents = f"select deviceId from devices.modules where moduleId = '$edgeAgent' and {applied}"
        return {
            "targetedCount": _query("deviceId", "devices", _on_edge(where)),
            "appliedCount": agents,
            "reportedSuccessfulCount": f"{agents} and {_AGENT_REPORTS} and {_STATUS} = 200",
            "reportedFailedCount": f"{agents} and {_AGENT_REPORTS} and {_STATUS} != 200",
        }
    wanted = ("moduleId", "devices.modules") if kind == "moduleContent" else ("deviceId", "devices")
    return {"targetedCount": _query(*wanted, where), "appliedCount": _query(*wanted, applied)}


def _on_edge(where: str) -> str:
    """Only edge devices are ever targeted by a deployment."""
    return {"": "", "*": _ON_EDGE}.get(where, f"{_ON_EDGE} and ({where})")


def _query(selected: str, collection: str, where: str) -> str:
    if not where:
        return ""
    return f"select {selected} from {collection}" + ("" if where == "*" else f" where {where}")
