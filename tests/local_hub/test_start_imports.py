"""Starting a hub is mostly importing it, so what few hubs need is imported when it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = (
    "iot_core.amqp",
    "local_hub.fronts.amqp",
    "local_hub.blobs.endpoint",
    "local_hub.controls.seed",
    "azure",
    "numpy",
    "pydantic",
    "rich",
    "typer",
)


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    code = "import sys, local_hub.local_hub; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", LATER)
def test_a_start_does_without(module: str, imported: frozenset[str]) -> None:
    assert module not in imported
