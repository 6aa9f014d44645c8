"""Starts the sentiment module: `python -m modules.sentiment`, by an IoT Edge runtime."""

from __future__ import annotations

from device.logs import configure_logs
from device.process import run_process
from modules.sentiment.module import serve


def main() -> int:
    """The exit code: 0 after a clean stop, 2 when no edge runtime started it."""
    configure_logs()
    return run_process(serve)
