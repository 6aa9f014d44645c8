"""Structured logs on standard error: JSON lines for machines, plain lines on a terminal."""

from __future__ import annotations

import io
import logging
import os
import sys

import structlog


class StandardError(io.StringIO):
    """Whatever sys.stderr is at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
RUNTIME_LEVEL = "RuntimeLogLevel"  # The variable by which the IoT Edge agent tells modules its own level.
NOISY_LIBRARIES = ("azure", "paho", "urllib3")  # They log every step of every packet at INFO, tracebacks at WARNING.


def configure_logs(*, json: bool | None = None, level: str | None = None) -> None:
    """Set up structlog and the standard library's logging alike; `json` defaults to "not on a terminal", `level` to the
    variable RuntimeLogLevel, else info."""
    as_json = not sys.stderr.isatty() if json is None else json
    threshold = LEVELS.get((level or os.environ.get(RUNTIME_LEVEL, "info")).lower(), logging.INFO)
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _renderer(as_json)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(StandardError()),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(as_json),
            ],
        )
    )
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    for name in NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)


def _renderer(as_json: bool) -> structlog.types.Processor:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
