"""Which program, which name and which environment a command on a stack means."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_tools.stacks.opening import default_program, open_stack, select_environment, selected_environment
from iot_core.errors import InputError

PROGRAM = """
from hub_tools.manifests import Module

def program(stack):
    stack.deployment("base", target=stack.settings.get("target", "*"), modules=[Module(name="m", image="a:1")])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "Fleet of B1"
    folder.mkdir()
    (folder / "environments.toml").write_text('[dev]\n[prod]\nsettings = { target = "tags.prod = true" }\n')
    (folder / "stack.py").write_text(PROGRAM)
    return folder / "stack.py"


def test_a_stack_is_called_by_its_folder_unless_it_says_otherwise(file: Path, tmp_path: Path) -> None:
    assert open_stack(file, home=tmp_path).name == "fleet_of_b1"
    file.write_text(f'STACK = "fleet"\n{PROGRAM}')
    assert open_stack(file, home=tmp_path).name == "fleet"
    assert open_stack(file, name="other", home=tmp_path).name == "other"


def test_the_selected_environment_is_meant_until_another_is_named(file: Path, tmp_path: Path) -> None:
    assert open_stack(file, home=tmp_path).environment.name == "dev"
    assert select_environment(file, "prod", home=tmp_path) == "fleet_of_b1"
    assert selected_environment(tmp_path, "fleet_of_b1") == "prod"
    assert open_stack(file, home=tmp_path).conditions == ["tags.prod = true"]
    assert open_stack(file, "dev", home=tmp_path).conditions == ["*"]


def test_an_environment_that_is_not_there_is_refused_with_those_that_are(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no environment 'test' in .*; there are: dev, prod"):
        select_environment(file, "test", home=tmp_path)


def test_the_program_is_looked_for_here_and_in_deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no stack\.py and no deployments/stack\.py"):
        default_program()
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "stack.py").touch()
    assert default_program() == Path("deployments/stack.py")


def test_programs_of_two_folders_do_not_see_each_others_modules(tmp_path: Path) -> None:
    for image in ("one", "two"):
        folder = tmp_path / image
        folder.mkdir()
        (folder / "parts.py").write_text(f'IMAGE = "{image}:1"\n')
        (folder / "stack.py").write_text(
            "from parts import IMAGE\nfrom hub_tools.manifests import Module\n"
            'def program(stack):\n    stack.deployment("base", modules=[Module(name="m", image=IMAGE)])\n'
        )
    opened = [open_stack(tmp_path / name / "stack.py", home=tmp_path) for name in ("one", "two")]
    assert [stack.stack.items["base"].modules[0].image for stack in opened] == ["one:1", "two:1"]
