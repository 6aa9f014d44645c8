"""Command line and environment of the scorer."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iot_core.errors import InputError
from modules.common.data import data_folder
from modules.common.options import ModuleOptions, add_module_options, module_options
from modules.common.serving import port_number
from modules.scorer.api.access import read_key

__all__ = ["Options", "parse_options"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "5001"
"""Where Azure ML's inference server listens."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one scorer process runs."""

    host: str
    port: int
    default_model: str | None
    providers: tuple[str, ...]
    data: Path
    entry_script: Path | None
    model_dir: Path | None
    workers: int
    key: str | None = field(repr=False)
    module: ModuleOptions


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Arguments win over SCORER_* variables; InputError for what cannot be used, SystemExit(2) from argparse for the
    rest."""
    parser = _parser(environment)
    values = parser.parse_args(arguments)
    return Options(
        host=values.host,
        port=port_number(values.port, "--port (or SCORER_PORT)"),
        default_model=values.default_model,
        providers=tuple(name.strip() for name in (values.providers or "").split(",") if name.strip()),
        data=data_folder("scorer", values.data, environment, remedy="name another with --data or SCORER_DATA"),
        entry_script=Path(values.entry_script).resolve() if values.entry_script else None,
        model_dir=Path(values.model_dir).resolve() if values.model_dir else None,
        workers=_count(values.workers),
        key=_key(values.key_file, environment),
        module=module_options(values),
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    def default(name: str, value: str | None = None) -> str | None:
        return environment.get(name) or value

    parser = argparse.ArgumentParser(
        prog="python -m modules.scorer",
        description="Scores telemetry, tensors and photographs. SCORER_KEY holds the bearer key, if there is one.",
    )
    add = parser.add_argument
    add("--host", default=default("SCORER_HOST", DEFAULT_HOST), help="address of the HTTP interface (SCORER_HOST)")
    add("--port", default=default("SCORER_PORT", DEFAULT_PORT), help="its port; 0 takes a free one (SCORER_PORT)")
    add("--default-model", default=default("SCORER_DEFAULT_MODEL"), help="model of POST /score (SCORER_DEFAULT_MODEL)")
    add("--providers", default=default("SCORER_PROVIDERS"), help="execution providers: cuda,cpu (SCORER_PROVIDERS)")
    add("--data", default=default("SCORER_DATA"), help="folder of series and fetched models (SCORER_DATA)")
    add(
        "--entry-script",
        default=default("SCORER_ENTRY_SCRIPT", default("AZUREML_ENTRY_SCRIPT")),
        help="an Azure ML score.py, served as the model script (SCORER_ENTRY_SCRIPT, AZUREML_ENTRY_SCRIPT)",
    )
    add("--model-dir", default=default("AZUREML_MODEL_DIR"), help="the script's AZUREML_MODEL_DIR")
    add("--workers", default=default("SCORER_WORKERS", "0"), help="scoring threads; 0: one per core (SCORER_WORKERS)")
    add("--key-file", default=default("SCORER_KEY_FILE"), help="file that holds the bearer key (SCORER_KEY_FILE)")
    add_module_options(parser, environment)
    return parser


def _key(key_file: str | None, environment: Mapping[str, str]) -> str | None:
    return read_key(Path(key_file)) if key_file else environment.get("SCORER_KEY") or None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 256:
        raise InputError(f"--workers (or SCORER_WORKERS) is {text!r}: give a number from 0 to 256")
    return int(text) or os.cpu_count() or 1
