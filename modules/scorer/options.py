"""Command line and environment of the scorer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.common.serving import port_number
from modules.scorer import anomaly, classifier

__all__ = ["Options", "parse_options"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "5001"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one scorer process runs."""

    host: str
    port: int
    standalone: bool
    classifier: Path
    labels: Path
    anomaly: Path


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Arguments win over SCORER_* variables; InputError for a bad port, SystemExit(2) from argparse for the rest."""

    def default(name: str, value: object) -> str:
        return environment.get(f"SCORER_{name}") or str(value)

    parser = argparse.ArgumentParser(prog="python -m modules.scorer", description="Scores telemetry and photographs.")
    parser.add_argument("--host", default=default("HOST", DEFAULT_HOST), help="address of the HTTP interface")
    parser.add_argument("--port", default=default("PORT", DEFAULT_PORT), help="its port; 0 takes a free one")
    parser.add_argument("--standalone", action="store_true", help="HTTP only: no hub, no telemetry")
    parser.add_argument("--classifier", type=Path, default=default("CLASSIFIER", classifier.DEFAULT_MODEL))
    parser.add_argument("--labels", type=Path, default=default("LABELS", classifier.DEFAULT_LABELS))
    parser.add_argument("--anomaly", type=Path, default=default("ANOMALY", anomaly.DEFAULT_MODEL))
    values = vars(parser.parse_args(arguments))
    return Options(**{**values, "port": port_number(str(values["port"]), "--port (or SCORER_PORT)")})
