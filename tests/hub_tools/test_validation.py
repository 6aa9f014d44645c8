"""Files checked: templates, manifests, layers of one device, and stacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.main import run
from hub_tools.deployments import read_env_file
from hub_tools.manifests import CreateOptions, Deployment, Layer, Module, Route, upstream
from hub_tools.stacks.policies import DEFAULT_POLICIES
from hub_tools.validation import TOGETHER, validate_files
from iot_core.errors import InputError, ManifestError
from iot_core.manifest import parse_module_json
from iot_core.manifest.validation import RULES
from modules.aggregator import module as aggregator
from modules.replay import module as replay
from modules.scorer import module as scorer
from modules.sentiment import module as sentiment
from modules.trigger import module as trigger

PROJECT = Path(__file__).resolve().parents[2]
LIMITED = CreateOptions.of(memory="64m")
MODULE = Module(name="m", image="acme/m:1", create_options=LIMITED, ports={80: 8080})
BASE = Deployment(name="base", modules=[MODULE], routes=[Route("up", MODULE.output("*") >> upstream)])
MODULE_JSON = {
    "image": {"repository": "${REGISTRY}/m", "tag": {"version": "1", "platforms": {"amd64": "D", "amd64.debug": "D"}}}
}


def write(file: Path, document: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def template(tmp_path: Path, image: str, name: str = "deployment.template.json", **env: str) -> Path:
    module = Module(name="m", image=image, create_options=LIMITED, env=env)
    content = Deployment(name="b", modules=[module]).to_content()
    return write(tmp_path / name, {"$schema-template": "4.0.0", **content})


def rules(*files: Path, **options: Any) -> list[tuple[str, str, str]]:
    found = validate_files(files, **{"variables": {}, **options})
    return [(Path(item.file).name, item.finding.rule, item.finding.severity.value) for item in found]


def test_the_template_of_this_repository_has_no_errors() -> None:
    variables = read_env_file(PROJECT / ".env.example")
    assert "error" not in {
        severity for *_, severity in rules(PROJECT / "deployment.template.json", variables=variables)
    }


def test_a_sound_manifest_passes(tmp_path: Path) -> None:
    assert rules(write(tmp_path / "m.json", BASE.to_content())) == []


def test_all_that_is_left_over_in_a_template_is_told(tmp_path: Path) -> None:
    file = template(tmp_path, "${MODULES.m}", ONE="$ONE", TWO="x${TWO}")
    found = validate_files([file], variables={})
    assert [item.finding.message for item in found] == [
        "${MODULES.m} is left over", "$ONE is left over", "${TWO} is left over",
    ]  # fmt: skip


def test_what_a_secret_variable_holds_is_neither_needed_nor_shown(tmp_path: Path) -> None:
    file = template(tmp_path, "acme/m:1", API_KEY="${API_KEY}")
    assert rules(file, variables={"API_KEY": "q8Zt3vXw1Lk9Pb7Rn5Jd2Hs6Gf4Yc0Ma"}) == []
    assert rules(template(tmp_path, "acme/m:1", PASSWORD="hunter2")) == [("deployment.template.json", "P04", "error")]


def test_a_generated_manifest_has_plain_secrets_of_need(tmp_path: Path) -> None:
    module = Module(name="m", image="acme/m:1", create_options=LIMITED, env={"PASSWORD": "hunter2"})
    file = write(tmp_path / "m.json", Deployment(name="b", modules=[module]).to_content())
    assert rules(file) == [("m.json", "P04", "warning")]


@pytest.mark.parametrize("image", ["${MODULES.m}", "${MODULES.m.debug}", "${MODULEDIR<../m>}", "${MODULEDIR<other>}"])
def test_images_come_from_module_json(tmp_path: Path, image: str) -> None:
    for folder in ("solution/modules/m", "m", "solution/other"):
        write(tmp_path / folder / "module.json", MODULE_JSON)
    file = template(tmp_path / "solution", image, "deployment.debug.template.json")
    assert rules(file, variables={"REGISTRY": "acme"}) == []


def test_inputs_and_outputs_that_module_json_lists_are_checked(tmp_path: Path) -> None:
    write(tmp_path / "modules" / "m" / "module.json", {**MODULE_JSON, "inputs": ["texts"], "outputs": ["scored"]})
    module = Module(name="sentiment", image="${MODULES.m}", create_options=LIMITED)
    routes = [
        Route("good", module.output("scored") >> module.input("texts")),
        Route("bad", module.output("scores") >> upstream),
        Route("worse", "FROM /messages/* WHERE $connectionModuleId = 'x' INTO " + str(module.input("text"))),
    ]
    content = Deployment(name="b", modules=[module], routes=routes).to_content()
    found = validate_files([write(tmp_path / "a.template.json", content)], variables={"REGISTRY": "r"}, ignore=["V12"])
    assert [item.finding.message for item in found] == [
        "sentiment has no output scores",
        "sentiment has no input text",
    ]


def test_module_json_of_our_modules_lists_what_they_register() -> None:
    listed = {
        name: parse_module_json((PROJECT / "modules" / name / "module.json").read_text(), {"CONTAINER_REGISTRY": "r"})
        for name in ("aggregator", "replay", "scorer", "sentiment", "trigger")
    }
    assert listed["scorer"].inputs == (scorer.TELEMETRY,)
    assert listed["sentiment"].inputs == (sentiment.TEXTS,)
    assert listed["aggregator"].inputs == (aggregator.MESSAGES,)
    assert listed["trigger"].inputs == trigger.INPUTS
    assert listed["replay"].outputs == (replay.TEMPERATURE_OUTPUT, replay.TEXTS_OUTPUT)


def test_a_module_json_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    write(tmp_path / "modules" / "m" / "module.json", MODULE_JSON)
    found = validate_files([template(tmp_path, "${MODULES.m}")], variables={})
    assert [(item.finding.rule, item.finding.message) for item in found] == [
        ("V16", "${REGISTRY} is not defined: set it in the environment or .env")
    ]


def test_several_files_are_the_layers_of_one_device(tmp_path: Path) -> None:
    base = write(tmp_path / "base.json", BASE.to_content())
    other = Module(name="n", image="acme/n:1", create_options=LIMITED, ports={81: 8080})
    layer = write(tmp_path / "layer.json", Layer(name="l", modules=[other]).to_content())
    assert rules(layer) == []
    assert rules(base, layer) == [(TOGETHER, "V04", "error")]
    low = write(tmp_path / "low.json", {"id": "l", "priority": 0, "content": Layer(name="l").to_content()})
    assert rules(base, low) == [(TOGETHER, "V14", "error")]


@pytest.mark.parametrize("text", ["", "{", "[1,"])
def test_text_that_is_not_json_is_a_finding(tmp_path: Path, text: str) -> None:
    assert rules(write(tmp_path / "a.json", text), write(tmp_path / "a.template.json", text)) == [
        ("a.json", "V01", "error"),
        ("a.template.json", "V01", "error"),
    ]


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "m.json", BASE.to_content())
    with pytest.raises(InputError, match="twice"):
        validate_files([file, file])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none\.json: cannot be read"):
        validate_files([tmp_path / "none.json"])


STACK = """
from hub_tools.manifests import CreateOptions, Layer, Module, Route, upstream
from hub_tools.stacks.policies import privileged

def program(stack):
    limits = CreateOptions.of(memory="64m")
    a = Module(name="a", image="acme/a:1", create_options=limits)
    b = Module(name="b", image="acme/b:latest", create_options=limits)
    stack.deployment("base", modules=[a], routes=[Route("r", a.output("*") >> b.input("i"))])
    stack.layer("more", modules=[b], routes=[Route("s", "FROM /messages/modules/elsewhere/* INTO $upstream")])
    stack.policy(lambda module, context: "is called a" if module.name == "a" else None, level="refuse")
"""


def test_items_of_a_stack_are_checked_with_its_policies(tmp_path: Path) -> None:
    file = write(tmp_path / "stack.py", STACK)
    assert rules(file) == [("stack.py:base", "<lambda>", "error"), ("stack.py:more", "P02", "warning")]


def test_rules_can_be_left_out(tmp_path: Path) -> None:
    assert rules(write(tmp_path / "stack.py", STACK), ignore=["P02", "<lambda>"]) == []


def test_an_environment_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no environment 'prod'"):
        validate_files([write(tmp_path / "stack.py", STACK)], environment="prod")


@pytest.mark.parametrize(
    ("image", "options", "code"), [("m:1", [], 0), ("m", [], 0), ("m", ["--strict"], 2), ("${X}", [], 2)]
)
def test_exit_codes_of_the_command(tmp_path: Path, image: str, options: list[str], code: int) -> None:
    assert run(["validate", str(template(tmp_path, image)), *options]) == code


def test_the_command_prints_json_or_a_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = str(template(tmp_path, "acme/m"))
    run(["validate", file, "-o", "json"])
    printed = json.loads(capfd.readouterr().out)
    assert (printed["errors"], printed["warnings"]) == (0, 1)
    assert printed["findings"][0].keys() == {"file", "rule", "severity", "path", "message", "fix"}
    run(["validate", file])
    out = capfd.readouterr().out
    assert "P02   warning" in out
    assert "not named by a version" in out


def test_the_guide_has_every_rule_and_policy() -> None:
    guide = (PROJECT / "docs" / "deployments.md").read_text()
    ids = [*(rule.id for rule in RULES), *(item.id for item in DEFAULT_POLICIES)]
    assert [one for one in ids if f"\n| {one} | " not in guide] == []
