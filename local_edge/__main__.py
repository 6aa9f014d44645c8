"""`python -m local_edge`: the edge runtime alone, without the rest of Edgeyard's commands."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from iot_core.errors import EdgeyardError, InputError
from local_edge.config import DEFAULT_HOST, EdgeConfig
from local_edge.engines.images import ImageTable, load_image_table
from local_edge.local_edge import serve

CREDENTIAL_VARIABLE = "EDGEYARD_EDGE_CONNECTION_STRING"
"""Keeps the key out of the list of processes, where arguments can be read."""


def main(arguments: list[str] | None = None) -> int:
    """Run an edge until SIGTERM or SIGINT; 0 done, 1 failed, 2 wrong use."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=given.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(
            _config(given),
            announce=lambda line: print(line, flush=True),
            warn=lambda line: print(line, file=sys.stderr),
        )
    except EdgeyardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_edge", description="A local IoT Edge runtime.")
    parser.add_argument(
        "--connection-string",
        default=os.environ.get(CREDENTIAL_VARIABLE, ""),
        help=f"the edge device's connection string (default: {CREDENTIAL_VARIABLE})",
    )
    parser.add_argument("--home", type=Path, required=True, help="data folder of this edge device")
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen on (default: {DEFAULT_HOST})")
    parser.add_argument("--ca", type=Path, help="PEM file of the hub's certificate authority")
    parser.add_argument("--images", type=Path, help="engine table (default: edgeyard.toml where there is one)")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser


def _config(given: argparse.Namespace) -> EdgeConfig:
    return EdgeConfig(
        connection_string=given.connection_string,
        home=given.home.resolve(),
        host=given.host,
        ca_file=given.ca,
        images=_images(given.images),
    )


def _images(path: Path | None) -> ImageTable:
    if path is not None:
        return load_image_table(path)
    default = Path("edgeyard.toml")
    return load_image_table(default) if default.exists() else ImageTable()


if __name__ == "__main__":
    sys.exit(main())
