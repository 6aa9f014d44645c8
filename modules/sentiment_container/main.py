"""Starts the stand-in: `python -m modules.sentiment_container Eula=accept Billing=<URI> ApiKey=<key> [--port 5000]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from device.logs import configure_logs
from device.process import run_process, stop_on_signals
from modules.common.monitoring import Health, monitoring
from modules.common.options import ModuleOptions, add_module_options, module_options
from modules.common.serving import port_number, serving
from modules.sentiment_container.http import create_http_app
from modules.sentiment_container.licence import Licence, read_licence
from modules.sentiment_container.metrics import ContainerMetrics
from modules.sentiment_container.model import SentimentModel
from modules.sentiment_container.versions import Version, choose_versions

__all__ = ["Options", "main", "parse_options", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "5000"
THREADS = 2  # inference is short; more only compete for the interpreter while they cut text into words
log = structlog.get_logger("sentiment_container")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one stand-in runs."""

    host: str
    port: int
    versions: tuple[Version, ...]
    licence: Licence
    module: ModuleOptions


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Arguments win over the environment (SENTIMENT_HOST, SENTIMENT_PORT, SENTIMENT_API and the licence); LicenceError,
    InputError."""
    parser = argparse.ArgumentParser(prog="python -m modules.sentiment_container", description=__doc__)
    parser.add_argument("licence", nargs="*", metavar="Name=value", help="Eula=accept, Billing=<URI>, ApiKey=<key>")
    parser.add_argument("--host", default=environment.get("SENTIMENT_HOST") or DEFAULT_HOST)
    parser.add_argument("--port", default=environment.get("SENTIMENT_PORT") or DEFAULT_PORT)
    parser.add_argument(
        "--api", default=environment.get("SENTIMENT_API") or "all", help="all, or some: v2.0,v3.1,language"
    )
    add_module_options(parser, environment)
    values = parser.parse_args(arguments)
    port = port_number(values.port, "--port (or SENTIMENT_PORT)")
    return Options(
        host=values.host,
        port=port,
        versions=choose_versions(values.api),
        licence=read_licence(values.licence, environment),
        module=module_options(values),
    )


async def serve(options: Options) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="sentiment")
    metrics, health = ContainerMetrics(), Health()
    http = create_http_app(SentimentModel(), executor, versions=options.versions, metrics=metrics)
    module = options.module
    try:
        async with (
            stop_on_signals() as stop,
            monitoring(metrics.registry, health, host=module.metrics_host, port=module.metrics_port) as watched,
            serving(http, options.host, options.port, remedy="choose another with --port or SENTIMENT_PORT") as port,
        ):
            names = [version.name for version in options.versions]
            log.info("listening", host=options.host, port=port, metrics_port=watched, api=names)
            await stop.wait()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return 0


def main() -> int:
    """The exit code: 0 after a clean stop, 2 for wrong use, such as a licence that is not accepted."""

    async def work() -> int:
        return await serve(parse_options(sys.argv[1:], os.environ))

    configure_logs()
    return run_process(work)
