"""`edgeyard demo --once`, in an environment that points everything elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.support import PROJECT

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(90)]

PRODUCTION = "HostName=production.azure-devices.net"
HOSTILE = {
    "IOTHUB_CONNECTION_STRING": f"{PRODUCTION};SharedAccessKeyName=iothubowner;SharedAccessKey=AAAA",
    "IOTHUB_DEVICE_CONNECTION_STRING": f"{PRODUCTION};DeviceId=d;SharedAccessKey=AAAA",
    "EDGEYARD_HOME": "/nonexistent/elsewhere",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "IOTEDGE_WORKLOADURI": "unix:///nonexistent.sock",
    "EdgeHubConnectionString": f"{PRODUCTION};DeviceId=d;ModuleId=m;SharedAccessKey=AAAA",
}


def test_everything_happens_within_a_minute_whatever_the_environment_says(tmp_path: Path) -> None:
    environment = {**os.environ, **HOSTILE, "TMPDIR": str(tmp_path)}
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "edgeyard", "demo", "--once"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    assert time.monotonic() - started < 60
    assert "✗" not in result.stdout
    for row in ("sensor fault", "despising text", "photograph cat.jpg", "twin job on B1", "telemetry of B2"):
        assert row in result.stdout
    assert "production.azure-devices.net" not in result.stdout
    assert list(tmp_path.iterdir()) == []
