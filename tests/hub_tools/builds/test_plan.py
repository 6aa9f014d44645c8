"""Which images a template asks for, and the commands that make them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub_tools.builds import Build, Engine, plan_builds, steps_of
from iot_core.errors import InputError, ManifestError

PROJECT = Path(__file__).resolve().parents[3]
BUILDX = Engine(command="docker", buildx=True, every_platform=True, host_platform="linux/amd64")
PODMAN = Engine(command="podman", buildx=False, every_platform=True, host_platform="linux/amd64")
PLAIN = Engine(command="docker", buildx=False, every_platform=False, host_platform="linux/arm64")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template that names `filter` for every platform and `scorer` for a GPU; `other` is not named."""
    for name, platforms in {
        "filter": ("amd64", "arm64v8"),
        "scorer": ("amd64", "gpu.amd64"),
        "other": ("amd64",),
    }.items():
        folder = tmp_path / "modules" / name
        folder.mkdir(parents=True)
        for platform in platforms:
            (folder / f"Dockerfile.{platform}").touch()
        tag = {"version": "1.0", "platforms": {platform: f"./Dockerfile.{platform}" for platform in platforms}}
        image = {"repository": f"${{REGISTRY}}/{name}", "tag": tag, "buildOptions": ["--quiet"], "contextPath": "../.."}
        (folder / "module.json").write_text(json.dumps({"image": image}))
    path = tmp_path / "deployment.template.json"
    path.write_text('{"a": "${MODULES.filter}", "b": "${MODULES.scorer.gpu.amd64}"}')
    return path


def images(builds: list[Build]) -> list[str]:
    return [build.image for build in builds]


VARIABLES = {"REGISTRY": "acme.io"}


def test_all_that_the_template_names_is_built_for_both_platforms(template: Path) -> None:
    builds = plan_builds(template, variables=VARIABLES)
    assert images(builds) == ["acme.io/filter:1.0-amd64", "acme.io/filter:1.0-arm64v8", "acme.io/scorer:1.0-gpu.amd64"]
    assert [build.platform for build in builds] == ["linux/amd64", "linux/arm64", "linux/amd64"]
    assert builds[0].context == template.parent


def test_modules_can_be_named_also_those_that_the_template_does_not(template: Path) -> None:
    builds = plan_builds(template, modules=["other", "filter"], platforms=["amd64"], variables=VARIABLES)
    assert images(builds) == ["acme.io/other:1.0-amd64", "acme.io/filter:1.0-amd64"]


def test_this_projects_own_template_can_be_planned() -> None:
    builds = plan_builds(PROJECT / "deployment.template.json", variables={"CONTAINER_REGISTRY": "edgeyard"})
    assert {build.module for build in builds} >= {"scorer", "sentiment", "replay"}
    assert {build.platform for build in builds} == {"linux/amd64", "linux/arm64"}


def test_a_module_a_platform_and_a_variable_that_are_not_there_are_named(template: Path) -> None:
    with pytest.raises(InputError, match=r"no module 'nosuch'.*modules/nosuch/module\.json"):
        plan_builds(template, modules=["nosuch"], variables=VARIABLES)
    with pytest.raises(InputError, match="--platform 'sparc'"):
        plan_builds(template, platforms=["sparc"], variables=VARIABLES)
    with pytest.raises(ManifestError, match="REGISTRY"):
        plan_builds(template, variables={})


def test_a_dockerfile_that_is_not_there_is_named(template: Path) -> None:
    (template.parent / "modules" / "filter" / "Dockerfile.arm64v8").unlink()
    with pytest.raises(InputError, match=r"Dockerfile\.arm64v8, does not exist"):
        plan_builds(template, variables=VARIABLES)


BUILD = Build(
    module="filter",
    platform="linux/amd64",
    image="acme.io/filter:1.0-amd64",
    dockerfile=Path("modules/filter/Dockerfile.amd64"),
    context=Path("."),
    options=("--quiet",),
)
WHAT = "--file modules/filter/Dockerfile.amd64 --tag acme.io/filter:1.0-amd64 --quiet"


@pytest.mark.parametrize(
    ("engine", "push", "commands"),
    [
        (BUILDX, False, [f"docker buildx build --platform linux/amd64 {WHAT} --load ."]),
        (BUILDX, True, [f"docker buildx build --platform linux/amd64 {WHAT} --push ."]),
        (PODMAN, False, [f"podman build --platform linux/amd64 {WHAT} ."]),
        (PODMAN, True, [f"podman build --platform linux/amd64 {WHAT} .", "podman push acme.io/filter:1.0-amd64"]),
        (PLAIN, True, []),
    ],
)
def test_each_engine_has_its_commands(engine: Engine, push: bool, commands: list[str]) -> None:
    [steps] = steps_of([BUILD], engine, push=push)
    assert [" ".join(command) for command in steps.commands] == commands
