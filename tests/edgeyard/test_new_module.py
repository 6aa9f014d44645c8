"""`edgeyard new module` in a copy of a project: every kind passes its own test, lint and validation at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.main import run
from edgeyard.scaffold import Kind, NewModule, create_module
from edgeyard.scaffold.json_text import insert_member
from edgeyard.scaffold.module import _sources
from hub_tools.builds import plan_builds
from hub_tools.deployments import expand_template
from iot_core.errors import InputError, ManifestError
from iot_core.manifest import parse_manifest
from iot_core.manifest.findings import Severity
from iot_core.manifest.validation import check_manifest
from tests.edgeyard.new_module_project import MODEL, PROJECT, project_copy

VARIABLES = {"CONTAINER_REGISTRY": "edgeyard", "TEXT_ANALYTICS_KEY": "k", "TEXT_ANALYTICS_BILLING": "b"}
LONG = "amodulewithanameofthirtyletter"
MODULES = (
    NewModule(name="pressure"),
    NewModule(name=LONG, kind=Kind.HTTP),
    NewModule(name="wear", kind=Kind.ML, model=MODEL, gpu=True),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return project_copy(tmp_path)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one new module of each kind."""
    folder = project_copy(tmp_path_factory.mktemp("project"))
    for wanted in MODULES:
        create_module(folder, wanted)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if "__pycache__" not in path.parts}


def call(folder: Path, *command: str) -> str:
    """What a tool prints that is run in the project, which comes before ours on the search path; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{PROJECT}"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_of_all_kinds_pass_at_once(grown: Path) -> None:
    assert " passed" in call(grown, "pytest", "-q", "-p", "no:cacheprovider", "tests/modules")


def test_what_is_written_is_clean(grown: Path) -> None:
    call(grown, "ruff", "check", "--no-cache", "modules", "tests")
    call(grown, "ruff", "format", "--no-cache", "--check", "modules", "tests")


def test_the_template_deploys_the_new_modules_and_routes_them(grown: Path) -> None:
    content = expand_template(grown / "deployment.template.json", variables=VARIABLES, target_platform="amd64")
    manifest = parse_manifest(content)
    assert {module.name for module in MODULES} <= set(manifest.agent.modules)
    assert manifest.agent.modules["wear"].image == "edgeyard/wear:0.1.0-gpu.amd64"
    assert manifest.agent.modules["wear"].create_options["HostConfig"]["DeviceRequests"]
    routes = {name: route.text for name, route in manifest.hub.routes.items()}
    assert routes["pressureInput"].endswith('INTO BrokeredEndpoint("/modules/pressure/inputs/messages")')
    assert routes["wearToHub"] == "FROM /messages/modules/wear/outputs/* INTO $upstream"
    assert [finding for finding in check_manifest(content) if finding.severity is Severity.ERROR] == []


def test_the_rest_of_the_template_is_written_as_it_was(grown: Path) -> None:
    old = (PROJECT / "deployment.template.json").read_text().splitlines()
    new = iter((grown / "deployment.template.json").read_text().splitlines())
    missing = [line for line in old if line.rstrip(",") not in (each.rstrip(",") for each in new)]
    assert missing == []


def test_the_engine_table_and_the_images_know_them(grown: Path) -> None:
    images = tomllib.loads((grown / "edgeyard.toml").read_text())["engine"]["process"]["images"]
    assert images["edgeyard/pressure"] == ["{python}", "-m", "modules.pressure"]
    assert "{port:5003/tcp}" in images[f"edgeyard/{LONG}"]
    names = [module.name for module in MODULES]
    builds = plan_builds(grown / "deployment.template.json", modules=names, variables=VARIABLES)
    assert [(build.module, build.platform) for build in builds] == [
        ("pressure", "linux/amd64"),
        ("pressure", "linux/arm64"),
        (LONG, "linux/amd64"),
        (LONG, "linux/arm64"),
        ("wear", "linux/amd64"),
    ]


@pytest.mark.parametrize("platform", ["amd64", "arm64v8"])
def test_its_dockerfile_is_that_of_our_own_modules(platform: str) -> None:
    ours = (PROJECT / "modules" / "replay" / f"Dockerfile.{platform}").read_text()
    assert _sources(Kind.FILTER)[f"Dockerfile.{platform}"].replace("@NAME@", "replay") == ours


def test_the_schema_of_its_settings_is_written(grown: Path) -> None:
    schema = json.loads((grown / "deployments" / "schemas" / "pressure.json").read_text())
    assert {"reportingInterval", "field", "threshold"} <= schema["properties"].keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Pressure"], "a-z"),
        (["1st"], "begins with a letter"),
        (["../out"], "a-z"),
        (["class"], "a-z"),
        (["x" * 31], "up to 30"),
        (["common"], "exists already"),
        (["ok", "--kind", "ml"], "--model"),
        (["ok", "--kind", "http", "--model", "m.onnx"], "--model"),
        (["ok", "--gpu"], "--gpu"),
        (["ok", "--from", "nonsense"], "MODULE/OUTPUT"),
        (["ok", "--model", "nosuch.onnx"], "cannot be read"),
        (["ok", "--model", "pyproject.toml"], "onnxruntime cannot load it"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(project)
    before = tree(project)
    assert run(["new", "module", *arguments]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1
    assert words in error
    assert tree(project) == before


def test_outside_of_a_project_it_says_where_to_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in the folder of an Edgeyard project"):
        create_module(tmp_path, NewModule(name="pressure"))


def test_a_name_that_the_template_has_already_is_refused_and_nothing_is_written(project: Path) -> None:
    shutil.rmtree(project / "modules" / "replay")
    before = tree(project)
    with pytest.raises(ManifestError, match="is there already"):
        create_module(project, NewModule(name="replay"))
    assert tree(project) == before


def test_a_failure_half_way_leaves_everything_as_it_was(project: Path) -> None:
    (project / "modules" / "common" / "options.py").write_text("not Python")
    (project / "device").mkdir()
    (project / "device" / "__init__.py").write_text("raise RuntimeError('no device code')\n")
    before = tree(project)
    with pytest.raises(ManifestError, match="no device code"):
        create_module(project, NewModule(name="pressure"))
    assert tree(project) == before
    assert not (project / "modules" / "pressure").exists()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{}", '{"n": 1}'),
        ('{"a": 1}', '{"a": 1, "n": 1}'),
        ('{\n  "a": ${PORT},\n  "b": [1, "}"]\n}', '{\n  "a": ${PORT},\n  "b": [1, "}"],\n  "n": 1\n}'),
        ('{\n  "a": {\n  }\n}', '{\n  "a": {\n  },\n  "n": 1\n}'),
    ],
)
def test_a_member_is_added_in_the_style_of_the_text(text: str, written: str) -> None:
    assert insert_member(text, [], "n", 1) == written


@pytest.mark.parametrize(("path", "words"), [(["x"], "x: is missing"), (["a", "b"], "not an object")])
def test_a_member_needs_an_object(path: list[Any], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        insert_member('{"a": 1}', path, "n", 1)
