"""A scorer's series outlive its process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.91.3.8"
OPTIONS = ["--host", HOST, "--port", "0", "--metrics-host", HOST, "--metrics-port", "0"]
HISTORY = [20 + (number % 24) / 4 for number in range(400)]


@contextmanager
def scorer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "modules.scorer", "--standalone", "--data", str(folder), *OPTIONS]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def scored(process: subprocess.Popen[str], value: float | list[float], **properties: str) -> dict[str, Any]:
    """The message that it sends on for one with this value; for history, for the value after it."""
    assert process.stdin is not None
    assert process.stdout is not None
    line = {"input": "telemetry", "body": {"temperature": value}, "properties": properties}
    process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()
    return {} if properties else dict(json.loads(process.stdout.readline())["body"])


def test_a_series_goes_on_after_sigterm(tmp_path: Path) -> None:
    with scorer(tmp_path) as process:
        scored(process, HISTORY, phase="history")
        before = scored(process, HISTORY[0])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    with scorer(tmp_path) as process:
        after = scored(process, HISTORY[0])
    assert before["score"] is not None
    assert after["score"] is not None
