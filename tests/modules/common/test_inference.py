"""Models are opened without telling anybody, and a broken one is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iot_core.errors import InputError
from modules.common.inference import available_providers, choose_providers, open_session

MODULES = Path(__file__).resolve().parents[3] / "modules"
MODEL = MODULES / "scorer" / "models" / "classifier.onnx"


def test_no_session_file_of_a_telemetry_client_is_written(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from modules.scorer.onnx_model import OnnxModel; OnnxModel(Path({str(MODEL)!r}))"
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
    session = open_session(MODEL.read_bytes(), MODEL)
    assert [value.name for value in session.get_inputs()] == ["data"]
    with pytest.raises(InputError, match=r"broken\.onnx"):
        open_session(b"no model", tmp_path / "broken.onnx")


def test_the_best_provider_that_is_there_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("modules.common.inference.available_providers", lambda: there)
    assert choose_providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers(["tensorrt", "cuda"]) == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]


def test_a_provider_that_is_not_there_is_refused_by_name() -> None:
    assert choose_providers(["cpu"]) == ["CPUExecutionProvider"]
    assert "NoSuchProvider" not in available_providers()
    with pytest.raises(InputError, match="NoSuchProvider is not there: this onnxruntime has"):
        open_session(MODEL.read_bytes(), MODEL, ["NoSuchProvider"])
