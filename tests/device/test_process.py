"""The life of a process: signals, exit codes, health."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from device import health
from transport.loopback import free_loopback_address

SERVE = """
from device.app import App
from device.fake_client import FakeHubClient
from device.logs import configure_logs
from device.process import leave, run_process
from device.settings import ReportingSettings

async def main() -> int:
    app = App(FakeHubClient(), ReportingSettings)

    @app.every_interval
    async def ready() -> None:
        print("ready", flush=True)

    await app.run()
    return 0

configure_logs()
leave(run_process(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_application_cleanly_within_five_seconds(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert time.monotonic() - began < 5
        finally:
            process.kill()


def test_a_library_s_thread_that_hangs_does_not_keep_the_process() -> None:
    code = """
        import threading
        from device.process import leave, run_process

        async def main() -> int:
            threading.Thread(target=threading.Event().wait).start()
            return 7

        leave(run_process(main))
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=20).returncode == 7


async def test_the_heartbeat_touches_the_file_while_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(health.HEALTH_FILE, str(tmp_path / "healthy"))
    monkeypatch.setattr(health, "BEAT_S", 0.01)
    answers: list[bool] = []
    ill_seen, well_seen = asyncio.Event(), asyncio.Event()

    def is_well() -> bool:
        (well_seen if ill_seen.is_set() and answers[-1] else ill_seen).set()
        answers.append(len(answers) >= 3)
        return answers[-1]

    task = asyncio.create_task(health.beat(is_well))
    await ill_seen.wait()
    assert health.main() == 1
    await well_seen.wait()
    assert health.main() == 0
    task.cancel()


def test_an_old_heartbeat_is_ill(tmp_path: Path) -> None:
    file = tmp_path / "healthy"
    file.touch()
    os.utime(file, (1000, 1000))
    assert health.is_fresh(file, 1001)
    assert not health.is_fresh(file, 1000 + health.STALE_S)


def test_a_hub_that_takes_connections_and_stays_silent_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    host = free_loopback_address((8883,))
    (tmp_path / "fleet.txt").write_text(f"HostName={host};DeviceId=d1;SharedAccessKey=c2VjcmV0\n")
    command = [sys.executable, "-m", "device.fleet", "--file", str(tmp_path / "fleet.txt")]
    with socket.create_server((host, 8883)) as silent, subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            with silent.accept()[0]:
                began = time.monotonic()
                process.terminate()
                assert process.wait(20) == 0
                assert time.monotonic() - began < 5
        finally:
            process.kill()
