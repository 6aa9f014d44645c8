"""Stack programs and their environments."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_tools.manifests import Deployment
from hub_tools.programs import ProgramError
from hub_tools.stacks.environments import Environment, read_environments
from hub_tools.stacks.program import Stack, load_program, run_program
from iot_core.errors import InputError

PROGRAM = """
from hub_tools.manifests import Module, Route, upstream

def program(stack):
    sensor = Module(name="sensor", image="acme/sensor:1", env={"KEY": stack.secret("KEY")})
    stack.deployment("base", target=f"tags.building = '{stack.settings['building']}'", priority=10,
                     modules=[sensor], routes=[Route("up", sensor.output("*") >> upstream)])
    stack.layer("quiet", target="tags.quiet = true", priority=20, settings={"sensor": {"interval": 60}})
    stack.output("environment", stack.environment)
"""


def run(tmp_path: Path, text: str, environment: Environment | None = None) -> Stack:
    file = tmp_path / "stack.py"
    file.write_text(text)
    return run_program(load_program(file), Stack("fleet", environment or Environment(name="dev")), file)


def test_a_program_declares_deployments_layers_and_outputs(tmp_path: Path) -> None:
    stack = run(tmp_path, PROGRAM, Environment(name="prod", settings={"building": "B1"}))
    base = stack.items["base"]
    assert isinstance(base, Deployment)
    assert base.condition == "tags.building = 'B1'"
    assert base.modules[0].env == {"KEY": "{{secret:KEY}}"}
    assert list(stack.items) == ["base", "quiet"]
    assert stack.outputs == {"environment": "prod"}


def test_a_program_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("IMAGE = 'acme/a:1'\n")
    text = "from hub_tools.manifests import Module\nfrom beside_it import IMAGE\n" + (
        "def program(stack): stack.deployment('b', modules=[Module(name='a', image=IMAGE)])\n"
    )
    assert run(tmp_path, text).items["b"].modules[0].image == "acme/a:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "has no function program"),
        ("def program(stack):\n    pass\n", "declares nothing"),
        ("def program(stack)\n", r"stack\.py:1: "),
        ("def program(stack):\n    stack.settings['city']\n", r"stack\.py:2: KeyError"),
        ("def program(stack):\n    stack.deployment('Base One')\n", r"stack\.py:2: .*a-z"),
        ("def program(stack):\n    stack.layer('a')\n    stack.layer('a')\n", r"stack\.py:3: .*twice"),
        ("import nothing_of_that_name\n", r"stack\.py:1: ModuleNotFoundError"),
    ],
)
def test_a_program_that_fails_is_told_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        run(tmp_path, text)


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="there is no file"):
        load_program(tmp_path / "none.py")


def test_environments_have_their_hub_settings_and_secrets(tmp_path: Path) -> None:
    (tmp_path / "environments.toml").write_text(
        '[dev]\nsettings = { building = "B1" }\n[prod]\nhub = "fleet.azure-devices.net"\nsecrets = "keyvault:fleet"\n'
    )
    assert read_environments(tmp_path) == {
        "dev": Environment(name="dev", settings={"building": "B1"}),
        "prod": Environment(name="prod", hub="fleet.azure-devices.net", secrets="keyvault:fleet"),
    }


def test_without_a_file_there_is_one_environment(tmp_path: Path) -> None:
    assert list(read_environments(tmp_path)) == ["dev"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[dev", "is not TOML"),
        ("[Dev]\n", "a-z and 0-9"),
        ("[dev]\nhubb = 'x'\n", r"dev\.hubb"),
        ("[dev]\nhub = 5\n", r"dev\.hub"),
        ("dev = 5\n", "dev"),
    ],
)
def test_a_bad_file_is_told_where_it_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "environments.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_environments(tmp_path)
