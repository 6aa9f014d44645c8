"""The command line imports what a command needs when it is called, and its help says what the commands do."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from edgeyard.cli.main import COMMANDS, app

HEAVY = ("aiohttp", "azure", "cryptography", "numpy", "onnxruntime", "OpenSSL", "pydantic", "local_hub", "hub_tools")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_what_the_command_says_of_itself(name: str) -> None:
    command = typer.main.get_group(app).commands[name]
    assert (command.help or "").partition("\n")[0] == COMMANDS[name].help


def test_help_imports_no_library_that_it_does_not_need() -> None:
    code = "import sys; from edgeyard.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "query" in done.stdout
    assert {module.partition(".")[0] for module in done.stderr.split()} & set(HEAVY) == set()
