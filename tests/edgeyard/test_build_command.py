"""`edgeyard build` with an engine of this test: a program that notes how it was called."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeyard.cli.main import run

PROJECT = Path(__file__).resolve().parents[2]
ENGINE = """#!{python}
import os, sys
call = sys.argv[1:]
if call[:2] == ["buildx", "version"] and {buildx} is False:
    sys.exit("docker: unknown command")
if call[:1] == ["version"]:
    print("linux/amd64" if "--format" in call else "Server: 1")
    sys.exit(0)
if call[:2] != ["buildx", "version"]:
    open({log!r}, "a").write(" ".join(call) + chr(10))
sys.exit(1 if "arm64" in " ".join(call) and {fails} else 0)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test puts into tmp_path can be found."""
    monkeypatch.chdir(PROJECT)
    for name in ("DOCKER", "EDGEYARD_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONTAINER_REGISTRY", "edgeyard")
    monkeypatch.setenv("PATH", str(tmp_path))


def install(folder: Path, name: str = "docker", *, buildx: bool = True, fails: bool = False) -> Path:
    log = folder / "calls"
    text = ENGINE.format(python=sys.executable, buildx=buildx, log=str(log), fails=fails)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return log


def test_a_module_is_built_for_both_platforms_and_pushed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = install(tmp_path)
    assert run(["build", "--push", "replay"]) == 0
    calls = log.read_text().splitlines()
    assert [call.split()[3] for call in calls] == ["linux/amd64", "linux/arm64"]
    assert all(" --push " in f"{call} " for call in calls)
    assert "2 of 2 images built" in capfd.readouterr().out


def test_without_buildx_only_the_engines_own_platform_is_built_and_that_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = install(tmp_path, buildx=False)
    assert run(["build", "replay"]) == 3
    assert log.read_text().splitlines() == [
        "build --file modules/replay/Dockerfile.amd64 --tag edgeyard/replay:0.1.0-amd64 ."
    ]
    assert "0.1.0-arm64v8 left out: without buildx" in capfd.readouterr().err


def test_a_build_that_fails_is_named_and_the_others_are_built(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, fails=True)
    assert run(["build", "replay"]) == 3
    captured = capfd.readouterr()
    assert "exit code 1: docker buildx build --platform linux/arm64" in captured.err
    assert "1 of 2 images built" in captured.out


@pytest.mark.parametrize(("variable", "name"), [("DOCKER", "nerdctl"), ("EDGEYARD_ENGINE", "podman")])
def test_another_engine_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str) -> None:
    install(tmp_path)
    log = install(tmp_path, name)
    monkeypatch.setenv(variable, name)
    assert run(["build", "replay", "--platform", "arm64v8"]) == 0
    assert log.read_text().startswith("build --platform linux/arm64 ")


def test_no_engine_is_one_line_that_says_what_was_tried(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "replay"]) == 1
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1
    assert all(f"{name} is not installed" in error for name in ("docker", "podman", "nerdctl"))


def test_a_dry_run_needs_no_engine_and_prints_the_commands(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "replay", "--dry-run"]) == 0
    captured = capfd.readouterr()
    assert captured.out.splitlines()[0].startswith("docker buildx build --platform linux/amd64 --file modules/replay/")
    assert "no container engine" in captured.err
    assert run(["build", "replay", "--dry-run", "--output", "json"]) == 0
    assert [row["platform"] for row in json.loads(capfd.readouterr().out)] == ["linux/amd64", "linux/arm64"]
