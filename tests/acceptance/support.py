"""Running `edgeyard` commands and hubs as users run them: in processes, in an environment that names nothing else."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from local_hub.controls.like_azure import LIKE_AZURE_VARIABLE
from local_hub.environment import hub_environment
from local_hub.home import HubHome

PROJECT = Path(__file__).resolve().parents[2]
HUB_PORTS = (8883, 5671, 8443, 443)
START_S = 20.0
LOG_NAME_CHARACTERS = 100
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", LIKE_AZURE_VARIABLE)
"""Of the environment of the tests."""


@dataclass(frozen=True)
class RunningHub:
    """A hub process: where it keeps its data, and how to reach it."""

    home: Path
    host: str

    @property
    def variables(self) -> dict[str, str]:
        """What `edgeyard hub env` prints."""
        return hub_environment(self.home)

    @property
    def owner(self) -> ConnectionString:
        return ConnectionString.parse(self.variables["IOTHUB_CONNECTION_STRING"])

    @property
    def ca_pem(self) -> str:
        return HubHome(self.home).authority.read_text()

    def service(self) -> RestHubService:
        """The operators' client, on the same seam as the commands."""
        return RestHubService(self.owner, ca_file=HubHome(self.home).authority)

    def device_connection_string(self, device_id: str, key: str) -> str:
        return f"HostName={self.host};DeviceId={device_id};SharedAccessKey={key}"


def clean(home: Path) -> dict[str, str]:
    """An environment that names no hub but the one in `home`."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "EDGEYARD_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def edgeyard(home: Path, *arguments: str, timeout: float = 50.0) -> subprocess.CompletedProcess[str]:
    """Runs one `edgeyard` command to its end."""
    command = [sys.executable, "-m", "edgeyard", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env=clean(home), capture_output=True, text=True, timeout=timeout, check=False
    )


T = TypeVar("T")
_logs = itertools.count(1)


def eventually(look: Callable[[], T], *, within_s: float = 20.0) -> T:
    """What `look` gives once that is true; asked again and again until then."""
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return seen


class Process:
    """A long-running `edgeyard` command; `line` is the one with which it said that it is ready."""

    def __init__(self, home: Path, *arguments: str, until: str) -> None:
        name = re.sub("[^a-z0-9]+", "-", " ".join(arguments))[:LOG_NAME_CHARACTERS]
        self._log = home / f"{name}-{next(_logs)}.log"
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeyard", *arguments],
                cwd=PROJECT,
                env=clean(home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.line = self._wait_for(until)

    def lines(self) -> list[str]:
        """What it has printed so far, whole lines only."""
        return self._log.read_text().rpartition("\n")[0].splitlines()

    def _wait_for(self, text: str) -> str:
        if not text:
            return ""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self._log.read_text().splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} from {self.process.args!r}: {self._log.read_text()[-2000:]}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)
