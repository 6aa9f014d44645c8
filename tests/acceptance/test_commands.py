"""The commands as a user types them: what they print, and what bad input gets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.support import RunningHub, edgeyard, eventually

pytestmark = pytest.mark.acceptance


def one_error_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    text = result.stderr
    assert result.returncode == 2, text
    assert len(text.strip().splitlines()) == 1, text
    assert "Traceback" not in text
    for word in words:
        assert word in text


def rows_of(hub: RunningHub, *arguments: str) -> list[Any]:
    """What a command prints as JSON; queries see changes some seconds late on a hub that is like Azure's."""
    return list(json.loads(edgeyard(hub.home, *arguments).stdout))


def test_a_device_is_created_shown_listed_and_deleted(hub: RunningHub) -> None:
    created = edgeyard(hub.home, "devices", "create", "thermostat-1", "--tag", "building=B1")
    assert created.returncode == 0, created.stderr
    assert created.stdout.startswith(f"HostName={hub.host};DeviceId=thermostat-1;SharedAccessKey=")
    assert edgeyard(hub.home, "devices", "connection-string", "thermostat-1").stdout == created.stdout
    listed = eventually(lambda: rows_of(hub, "devices", "list", "--output", "json"))
    assert [(twin["deviceId"], twin["tags"]) for twin in listed] == [("thermostat-1", {"building": "B1"})]
    assert edgeyard(hub.home, "devices", "delete", "thermostat-1").returncode == 0
    eventually(lambda: not rows_of(hub, "devices", "list", "--output", "json"))


def test_a_query_prints_rows_as_a_table_or_json(hub: RunningHub) -> None:
    edgeyard(hub.home, "devices", "create", "q1", "--tag", "building=B9")
    text = "SELECT deviceId, tags.building FROM devices WHERE tags.building = 'B9'"
    assert eventually(lambda: rows_of(hub, "query", text, "-o", "json")) == [{"deviceId": "q1", "building": "B9"}]
    assert "B9" in edgeyard(hub.home, "query", text).stdout


def test_hub_env_exports_what_sdks_need(hub: RunningHub) -> None:
    variables = json.loads(edgeyard(hub.home, "hub", "env", "--format", "json").stdout)
    assert set(variables) >= {
        "IOTHUB_CONNECTION_STRING",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    }
    bundle = Path(variables["SSL_CERT_FILE"]).read_text()
    assert bundle.count("BEGIN CERTIFICATE") > 1
    assert hub.ca_pem.strip() in bundle
    shell = edgeyard(hub.home, "hub", "env").stdout
    assert all(line.startswith("export ") for line in shell.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("devices", "show", "nobody"), ("nobody",)),
        (("device", "run", "nobody"), ("nobody",)),
        (("edge", "run", "nobody"), ("nobody",)),
        (("query", "SELECT * FROM nowhere"), ("FROM takes devices", "nowhere")),
        (("query", "SELECT * FROM devices", "--hub", "HostName=x"), ("connection string",)),
        (("job", "run", "--where", "tags.a = 1", "--desired", "noValue"), ("NAME=VALUE",)),
        (("edge", "set-modules", "--device", "nobody", "no-such-file.json"), ("no-such-file.json",)),
        (("methods", "call", "nobody", "reboot", "--payload", "{"), ("--payload is not JSON",)),
        (("score", "photo.gif"), ("photo.gif", "cannot be read")),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    hub: RunningHub, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_error_line(edgeyard(hub.home, *arguments), *words)


def test_a_broken_template_is_named_with_the_place(hub: RunningHub, tmp_path: Path) -> None:
    broken = tmp_path / "deployment.template.json"
    broken.write_text('{"modulesContent": {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1"}}}}')
    one_error_line(edgeyard(hub.home, "edge", "set-modules", "--device", "e", str(broken)), str(broken), "$edgeHub")


def test_a_second_hub_on_the_same_home_is_refused(hub: RunningHub) -> None:
    one_error_line(edgeyard(hub.home, "hub", "run", "--host", "127.77.1.1"), str(hub.home))


def test_a_busy_port_is_refused_with_the_way_out(hub: RunningHub, tmp_path: Path) -> None:
    one_error_line(edgeyard(tmp_path, "hub", "run", "--host", hub.host), "8883", "--host")


def test_without_a_hub_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    one_error_line(edgeyard(tmp_path, "devices", "list"), "edgeyard hub run")
    one_error_line(edgeyard(tmp_path, "hub", "env"), "hub")


def test_a_job_that_matches_no_device_fails_and_says_so(hub: RunningHub) -> None:
    result = edgeyard(hub.home, "job", "run", "--where", "tags.building = 'none'", "--desired", "a=1")
    assert (result.returncode, "No device matches" in result.stderr) == (1, True)
