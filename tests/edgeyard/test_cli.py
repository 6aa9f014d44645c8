"""The command line by itself: help texts, wrong use, exit codes, which hub is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from edgeyard.cli.exits import exit_code_of
from edgeyard.cli.hubs import find_hub, home_folder, is_loopback
from edgeyard.cli.main import app, run
from edgeyard.cli.reference import render_reference
from hub_tools.profiles import Profile, Profiles
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, EdgeyardError, InputError, ManifestError
from iot_core.hub_errors import hub_error

PROJECT = Path(__file__).resolve().parents[2]
AZURE = "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    monkeypatch.setenv("EDGEYARD_HOME", str(tmp_path))


def commands(command: Any, name: str = "edgeyard") -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for child, item in command.commands.items():
            yield from commands(item, f"{name} {child}")
    else:
        yield name, command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_a_help_text_with_an_example(name: str) -> None:
    assert re.search(rf"Example: .*{name}", ALL[name].help)


def test_the_command_table_in_the_docs_is_fresh() -> None:
    assert (PROJECT / "docs" / "commands.md").read_text() == render_reference()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], ("No such command", "edgeyard --help")),
        (["hub", "run", "--nope"], ("--nope", "edgeyard hub run --help")),
        (["job", "run"], ("--where", "--all")),
        (["hub", "run", "--http-port", "many"], ("--http-port",)),
        (["devices", "list"], ("edgeyard hub run",)),
        (["query", "SELECT * FROM devices", "--hub", "nonsense"], ("connection string",)),
        (["devices", "list", "--hub", "HostName=h;DeviceId=d;SharedAccessKey=AAAA"], ("SharedAccessKeyName",)),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capfd.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""
    assert all(word in captured.err for word in words)


def test_no_error_line_shows_a_key(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "list", "--hub", AZURE.replace("h.azure-devices.net", "127.0.0.1:1")]) == 1
    assert "c2VjcmV0" not in capfd.readouterr().err


def test_a_hub_is_named_by_its_host_alone_or_by_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    signed_in = find_hub("fleet.azure-devices.net")
    assert (signed_in.host_name, signed_in.policy, signed_in.local) == ("fleet.azure-devices.net", None, False)
    with pytest.raises(InputError, match="key"):
        _ = signed_in.connection_string
    monkeypatch.setenv("EDGEYARD_PROFILES", str(tmp_path / "profiles.toml"))
    Profiles().add(Profile(name="fleet", connection_string=ConnectionString.parse(AZURE)))
    assert find_hub("fleet").connection_string == ConnectionString.parse(AZURE)
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", "fleet")
    assert find_hub(None).host_name == "h.azure-devices.net"


def test_local_is_the_running_hub_whatever_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", AZURE)
    with pytest.raises(InputError, match="edgeyard hub run"):
        find_hub("local")


def test_a_hub_named_on_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", AZURE)
    assert find_hub(None).connection_string.host_name == "h.azure-devices.net"
    named = AZURE.replace("h.azure", "named.azure")
    assert find_hub(named).connection_string.host_name == "named.azure-devices.net"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:8443", True),
        ("127.9.8.7:8443", True),
        ("h.azure-devices.net", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_only_loopback_addresses_count_as_local(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


CHANGES = [
    ["devices", "create", "d1"],
    ["devices", "delete", "d1"],
    ["twin", "set", "d1", "--desired", "a=1"],
    ["twin", "edit", "d1"],
    ["methods", "call", "d1", "reboot"],
    ["c2d", "send", "d1", "hello"],
]


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_on_a_hub_that_is_not_local_needs_a_yes(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--hub", AZURE]) == 2
    error = capfd.readouterr().err
    assert "h.azure-devices.net" in error
    assert "--yes" in error


def test_the_home_is_the_option_then_the_environment(tmp_path: Path) -> None:
    assert home_folder(Path("/elsewhere")) == Path("/elsewhere")
    assert home_folder() == tmp_path


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (ConnectionStringError("x"), 2),
        (ManifestError("x"), 2),
        (hub_error("DeviceNotFound", "x"), 2),
        (hub_error("ArgumentInvalid", "x"), 2),
        (hub_error("ThrottlingException", "x"), 1),
        (EdgeyardError("x"), 1),
    ],
)
def test_exit_codes_tell_wrong_use_from_failure(error: EdgeyardError, code: int) -> None:
    assert exit_code_of(error) == code
