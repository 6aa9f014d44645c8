from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from local_hub.environment import FORMATS, HubNotSetUpError, format_json, format_shell, hub_environment
from local_hub.home import HubHome

CONNECTION_STRING = "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0IGtleSBieXRlcw=="

EVENTHUB = "Endpoint=sb://localhost/;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0;EntityPath=local"
PROVISIONING = {"version": 1, "host": "localhost", "id_scope": "0ne0A1B2C3D", "connection_string": "HostName=dps"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose hub has run once, with a name that a shell must have quoted."""
    folder = tmp_path / "it's here"
    files = HubHome(folder)
    files.create()
    files.owner_connection_string.write_text(CONNECTION_STRING + "\n")
    files.eventhub_connection_string.write_text(EVENTHUB + "\n")
    files.provisioning.write_text(json.dumps(PROVISIONING))
    for file in (files.bundle, files.authority):
        file.write_text("PEM")
    return folder


def test_the_variables_point_every_sdk_at_the_hub(home: Path) -> None:
    variables = hub_environment(home)
    assert variables["IOTHUB_CONNECTION_STRING"] == CONNECTION_STRING
    assert variables["EVENTHUB_CONNECTION_STRING"] == EVENTHUB
    assert variables["PROVISIONING_HOST"] == "localhost"
    assert variables["PROVISIONING_IDSCOPE"] == "0ne0A1B2C3D"
    assert variables["DPS_CONNECTION_STRING"] == "HostName=dps"
    assert variables["IOTHUB_CA_FILE"] == str(home / "hub" / "ca.pem")
    bundle = str(home / "hub" / "bundle.pem")
    assert {variables[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")} == {bundle}


def test_the_account_of_uploaded_files_is_there_when_the_hub_keeps_them(home: Path) -> None:
    assert "IOTHUB_STORAGE_CONNECTION_STRING" not in hub_environment(home)
    HubHome(home).storage_connection_string.write_text("AccountName=a\n")
    assert hub_environment(home)["IOTHUB_STORAGE_CONNECTION_STRING"] == "AccountName=a"


def test_paths_are_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    assert hub_environment(Path(home.name)) == hub_environment(home)


def test_the_shell_reads_back_what_was_written(home: Path) -> None:
    words = shlex.split(format_shell(hub_environment(home)))
    assert dict(word.split("=", 1) for word in words if word != "export") == hub_environment(home)


def test_json_reads_back_what_was_written(home: Path) -> None:
    assert json.loads(format_json(hub_environment(home))) == hub_environment(home)


def test_the_formats_have_names() -> None:
    assert FORMATS.keys() == {"shell", "json"}


def test_a_folder_without_a_hub_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HubNotSetUpError, match="edgeyard hub run") as error:
        hub_environment(tmp_path)
    assert "\n" not in str(error.value)


def test_the_hub_s_folder_is_the_owner_s_alone(home: Path) -> None:
    assert stat.S_IMODE(HubHome(home).folder.stat().st_mode) == 0o700
