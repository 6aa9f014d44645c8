"""Options that every module has: where health and metrics are served, and standing alone."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.common.monitoring import DEFAULT_PORT
from modules.common.serving import port_number

__all__ = ["ModuleOptions", "add_module_options", "module_options"]

DEFAULT_HOST = "127.0.0.1"
"""Of a process on a person's machine; Dockerfiles set MONITORING_HOST=0.0.0.0."""


@dataclass(frozen=True, kw_only=True)
class ModuleOptions:
    """How one module process is watched, and whether it runs without a hub (`twin`: its desired properties then)."""

    metrics_host: str = DEFAULT_HOST
    metrics_port: int = DEFAULT_PORT
    standalone: bool = False
    twin: Path | None = None


def add_module_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add --metrics-host, --metrics-port, --standalone and --twin; their defaults are MONITORING_HOST, MONITORING_PORT,
    EDGEYARD_STANDALONE and EDGEYARD_TWIN."""
    group = parser.add_argument_group("what every module has")
    group.add_argument(
        "--metrics-host",
        default=environment.get("MONITORING_HOST") or DEFAULT_HOST,
        help="address of /metrics, /live and /ready (MONITORING_HOST; %(default)s)",
    )
    group.add_argument(
        "--metrics-port",
        default=environment.get("MONITORING_PORT") or str(DEFAULT_PORT),
        help="their port; 0 takes a free one (MONITORING_PORT; %(default)s)",
    )
    group.add_argument(
        "--standalone",
        action="store_true",
        default=environment.get("EDGEYARD_STANDALONE", "").lower() in ("1", "true", "yes"),
        help="without a hub: messages are JSON lines on standard input and output (EDGEYARD_STANDALONE=1)",
    )
    group.add_argument(
        "--twin",
        type=Path,
        default=environment.get("EDGEYARD_TWIN") or None,
        help="with --standalone: a JSON file with the desired properties (EDGEYARD_TWIN)",
    )


def module_options(values: argparse.Namespace) -> ModuleOptions:
    """The options from what the parser read; InputError for a bad port."""
    return ModuleOptions(
        metrics_host=values.metrics_host,
        metrics_port=port_number(values.metrics_port, "--metrics-port (or MONITORING_PORT)"),
        standalone=values.standalone,
        twin=values.twin,
    )
