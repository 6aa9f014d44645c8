"""Templates on disk: the one of this repository, variables and images, and what is wrong with broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub_tools.deployments import expand_template, read_env_file, read_variables
from iot_core.errors import ManifestError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def deployment() -> dict[str, Any]:
    variables = read_env_file(PROJECT / ".env.example")
    return expand_template(PROJECT / "deployment.template.json", variables=variables, target_platform="amd64")


def settings(deployment: dict[str, Any], module: str) -> dict[str, Any]:
    agent = deployment["modulesContent"]["$edgeAgent"]["properties.desired"]
    return dict(agent["modules"][module]["settings"])


def test_images_of_the_projects_modules_get_their_tags(deployment: dict[str, Any]) -> None:
    assert settings(deployment, "scorer")["image"] == "edgeyard/scorer:0.1.0-amd64"


def test_the_sentiment_container_gets_its_licence_and_its_port(deployment: dict[str, Any]) -> None:
    options = json.loads(settings(deployment, "sentiment-container")["createOptions"])
    assert options["Env"][0] == "Eula=accept"
    assert [entry.partition("=")[0] for entry in options["Env"]] == ["Eula", "Billing", "ApiKey"]
    assert options["HostConfig"]["PortBindings"] == {"5000/tcp": [{"HostPort": "5000"}]}


def test_the_marker_of_the_template_is_gone(deployment: dict[str, Any]) -> None:
    assert "$schema-template" not in deployment


def test_a_manifest_that_is_no_template_comes_back_unchanged(deployment: dict[str, Any], tmp_path: Path) -> None:
    manifest = tmp_path / "deployment.json"
    manifest.write_text(json.dumps(deployment))
    assert expand_template(manifest, variables={}) == deployment


def test_a_missing_variable_is_named_with_the_file(tmp_path: Path) -> None:
    template = tmp_path / "deployment.template.json"
    template.write_text((PROJECT / "deployment.template.json").read_text())
    with pytest.raises(ManifestError, match="TEXT_ANALYTICS_BILLING") as error:
        expand_template(template, variables={})
    assert str(template) in str(error.value)


def test_env_beside_the_template_overrides_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_REGISTRY", "from-the-environment")
    assert read_variables(tmp_path)["CONTAINER_REGISTRY"] == "from-the-environment"
    (tmp_path / ".env").write_text("CONTAINER_REGISTRY=from-the-file\n")
    assert read_variables(tmp_path)["CONTAINER_REGISTRY"] == "from-the-file"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_what_is_no_template_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    template = tmp_path / "broken.json"
    template.write_bytes(content)
    with pytest.raises(ManifestError, match="broken"):
        expand_template(template, variables={})


def solution(tmp_path: Path, image: str) -> Path:
    """A debug template with one module of that image, and a module.json that it can name in each way."""
    described = {
        "image": {
            "repository": "acme/${NAME}",
            "tag": {"version": "1", "platforms": {"amd64": "D", "amd64.debug": "D"}},
        }
    }
    for folder in ("modules/filter", "shared", "modules/unused"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "module.json").write_text(json.dumps(described))
    (tmp_path / "modules/unused/module.json").write_text(json.dumps(described).replace("NAME", "UNDEFINED"))
    content = json.loads((PROJECT / "deployment.template.json").read_text())
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    agent["modules"] = {"filter": {**agent["modules"]["replay"], "settings": {"image": image, "createOptions": {}}}}
    template = tmp_path / "deployment.debug.template.json"
    template.write_text(json.dumps(content))
    return template


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("${MODULES.filter}", "acme/filter:1-ci-amd64"),
        ("${MODULES.filter.debug}", "acme/filter:1-ci-amd64.debug"),
        ("${MODULES.filter.amd64.debug}", "acme/filter:1-ci-amd64.debug"),
        ("${MODULEDIR<shared>}", "acme/filter:1-ci-amd64"),
        ("${MODULEDIR<./shared>.debug}", "acme/filter:1-ci-amd64.debug"),
    ],
)
def test_debug_templates_container_tags_and_paths_of_modules(tmp_path: Path, image: str, tag: str) -> None:
    variables = {"NAME": "filter", "CONTAINER_TAG": "ci"}
    expanded = expand_template(solution(tmp_path, image), variables=variables, target_platform="amd64")
    assert settings(expanded, "filter")["image"] == tag


def test_a_path_without_module_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.module\.json: cannot be read"):
        expand_template(solution(tmp_path, "${MODULEDIR<nowhere>}"), variables={})
