from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

HOST = "127.91.3.2"
OPTIONS = ["--host", HOST, "--port", "0", "--metrics-host", HOST, "--metrics-port", "0"]


def test_standalone_serves_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modules.scorer", "--standalone", "--data", str(tmp_path), *OPTIONS]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = json.loads(process.stderr.readline())["port"]
        monitoring = json.loads(process.stderr.readline())["port"]
        for url, expected in ((f"http://{HOST}:{port}/", b"Healthy"), (f"http://{HOST}:{monitoring}/live", b"live\n")):
            with urllib.request.urlopen(url, timeout=5) as response:
                assert response.read() == expected
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_without_an_edge_runtime_it_says_so_and_ends_with_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modules.scorer", "--data", str(tmp_path), *OPTIONS],
        capture_output=True, text=True, env={}, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: no IoT Edge runtime started this module")
