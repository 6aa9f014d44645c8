"""A deployment without IoT Edge: for docker compose, for a cluster, or as the file that the az command line reads."""

from __future__ import annotations

from hub_tools.export.compose import to_compose
from hub_tools.export.documents import to_json
from hub_tools.export.kubernetes import ClusterOptions, to_kubernetes
from hub_tools.export.plain import Exported
from hub_tools.export.source import Source, read_source

__all__ = ["ClusterOptions", "Exported", "Source", "read_source", "to_compose", "to_json", "to_kubernetes"]
