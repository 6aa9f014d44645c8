"""The trigger module as a process of its own, without a hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.77.41.4"
TWIN = {
    "reportingInterval": 0.2,
    "actions": {
        "alert": {"type": "output", "output": "alerts"},
        "hook": {"type": "http", "url": "http://127.77.41.4:9/?code=s3cret", "key": "k3y"},
    },
    "rules": {"hot": {"condition": "$body.t > 30", "actions": ["alert", "hook"]}},
}


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    twin = folder / "twin.json"
    twin.write_text(json.dumps(TWIN))
    options = ["--standalone", "--twin", twin, "--data", folder / "data", "--metrics-host", HOST, "--metrics-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "modules.trigger", *map(str, options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], **line: Any) -> Any:
    """One line in, one line out; for a method, its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()
    return next(out for out in map(json.loads, process.stdout) if out.get("method") == line.get("method"))


def test_it_stands_alone_and_stops_cleanly_without_telling_secrets(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        alert = ask(process, input="telemetry", body={"t": 31})
        assert (alert["output"], alert["body"]["data"]["rule"]) == ("alerts", "hot")
        assert process.stderr is not None
        monitoring = json.loads(process.stderr.readline())
        with urllib.request.urlopen(f"http://{HOST}:{monitoring['port']}/ready", timeout=5) as response:
            assert response.read() == b"ready\n"
        with urllib.request.urlopen(f"http://{HOST}:{monitoring['port']}/metrics", timeout=5) as response:
            assert b'edgeyard_trigger_firings_total{rule="hot"} 1.0' in response.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
        logs = process.stderr.read()
    assert "127.77.41.4:9/?*** cannot be reached" in logs
    assert "s3cret" not in logs + json.dumps(alert)
    assert "k3y" not in logs
    assert all(isinstance(json.loads(line), dict) for line in logs.splitlines())


def test_a_killed_module_sends_what_it_owes_after_its_restart(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        ask(process, input="telemetry", body={"t": 31})
    with started(tmp_path) as process:
        assert ask(process, method="parked")["payload"] == {"total": 0, "parked": []}
        process.send_signal(signal.SIGTERM)
        _, logs = process.communicate(timeout=10)
    assert [json.loads(line)["action"] for line in logs.splitlines() if "tried again later" in line][:1] == ["hook"]


def test_without_an_edge_runtime_it_says_so_and_ends_with_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modules.trigger", "--data", str(tmp_path), "--metrics-port", "0"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: no IoT Edge runtime started this module")
