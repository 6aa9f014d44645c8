"""Models are opened without telling anybody, and a broken one is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iot_core.errors import InputError
from modules.common.inference import open_session
from modules.scorer.classifier import DEFAULT_MODEL

MODULES = Path(__file__).resolve().parents[3] / "modules"


def test_no_session_file_of_a_telemetry_client_is_written(tmp_path: Path) -> None:
    code = "from modules.scorer.classifier import Classifier; Classifier()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], cwd=MODULES.parent, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_imports_onnxruntime() -> None:
    importers = {
        file.relative_to(MODULES).as_posix()
        for file in MODULES.rglob("*.py")
        if "\nimport onnxruntime" in file.read_text() or "\nfrom onnxruntime" in file.read_text()
    }
    assert importers == {"common/inference.py"}


def test_a_model_runs_and_a_broken_one_is_named(tmp_path: Path) -> None:
    session = open_session(DEFAULT_MODEL.read_bytes(), DEFAULT_MODEL)
    assert [value.name for value in session.get_inputs()] == ["data"]
    with pytest.raises(InputError, match=r"broken\.onnx"):
        open_session(b"no model", tmp_path / "broken.onnx")
