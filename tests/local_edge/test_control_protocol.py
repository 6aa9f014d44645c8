"""How a module is described, as `iotedge list` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_edge.control import list_modules, logs
from local_edge.control_protocol import ModuleRow
from local_edge.errors import EngineError, NotRunningError

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("status", "age_s", "description"),
    [
        ("running", 1, "Up 1 second"),
        ("running", 19, "Up 19 seconds"),
        ("running", 300, "Up 5 minutes"),
        ("stopped", 7300, "Stopped 2 hours ago"),
        ("failed", 180, "Failed (1) 3 minutes ago"),
        ("backoff", 86_400, "Failed (1) 1 day ago"),
    ],
)
def test_descriptions(status: str, age_s: float, description: str) -> None:
    row = ModuleRow(name="m", status=status, image="i", since=NOW - age_s, exit_code=1)
    assert row.cells(NOW) == ("m", status, description, "i")


def test_without_a_running_edge_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no edge runs in"):
        list_modules(tmp_path)
    with pytest.raises(EngineError, match="no log of a module m"):
        logs(tmp_path, "m")


def test_logs_follow_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "m.log"
    path.parent.mkdir()
    path.write_text("one\ntwo\n")
    pieces = logs(tmp_path, "m", tail=1, follow=True)
    assert next(pieces) == "two\n"
    with path.open("a") as file:
        file.write("three\n")
    assert next(pieces) == "three\n"
