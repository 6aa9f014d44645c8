from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

HOST = "127.91.3.2"


def test_standalone_serves_and_ends_cleanly_on_sigterm() -> None:
    command = [sys.executable, "-m", "modules.scorer", "--standalone", "--host", HOST, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        listening = json.loads(process.stderr.readline())
        with urllib.request.urlopen(f"http://{HOST}:{listening['port']}/", timeout=5) as response:
            assert response.read() == b"Healthy"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_without_an_edge_runtime_it_says_so_and_ends_with_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modules.scorer", "--host", HOST, "--port", "0"],
        capture_output=True, text=True, env={}, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: no IoT Edge runtime started this module")
