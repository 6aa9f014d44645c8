"""A hub process and a command line that means it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.main import run
from tests.hub_tools.conftest import RunningHub, hub

__all__ = ["hub"]


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def edgeyard(hub: RunningHub, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> Command:
    """Runs a command in a folder of its own, where no other hub is known; makes no difference after the test."""
    for name in [name for name in os.environ if name.startswith(("IOTHUB_", "EDGEYARD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EDGEYARD_HOME", str(hub.home))
    monkeypatch.setenv("EDGEYARD_PROFILES", str(tmp_path / "profiles.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        code = run(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
