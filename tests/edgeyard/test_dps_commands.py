"""`edgeyard dps` against a running hub: what a new user types, and what goes wrong."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.main import run
from iot_core.identity import derive_device_key
from tests.acceptance.support import Process
from tests.iot_core.dps.test_tpm import STORAGE_ROOT_KEY
from transport.loopback import free_loopback_address

Dps = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    process = Process(folder, "hub", "run", "--host", free_loopback_address((443, 5671, 8443, 8883)), until="hub ready")
    yield folder
    assert process.stop() == 0


@pytest.fixture
def dps(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dps:
    """Exit code, output and error of a command."""
    monkeypatch.delenv("DPS_CONNECTION_STRING", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["dps", *arguments, "--home", str(home)])
        out, err = capsys.readouterr()
        return code, out.strip(), err.strip()

    return call


def new_id(prefix: str = "sn") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def shown(dps: Dps, *arguments: str) -> Any:
    code, out, _ = dps("show", *arguments)
    assert code == 0
    return json.loads(out)


def test_the_key_of_a_device_is_printed_again(dps: Dps) -> None:
    name = new_id()
    _, key, _ = dps("enroll", name)
    assert len(base64.b64decode(key)) == 64
    assert dps("key", name) == (0, key, "")


def test_the_key_of_a_group_is_derived_for_a_device(dps: Dps) -> None:
    group = new_id("g")
    _, key, _ = dps("group", group)
    assert dps("key", group, "--group", "--device", "pump-7") == (0, derive_device_key(key, "pump-7"), "")
    assert shown(dps, group, "--group")["registrations"] == []


def test_a_tpm_is_enrolled_from_a_file_of_either_form(dps: Dps, tmp_path: Path) -> None:
    (tmp_path / "ek.pub").write_bytes(base64.b64decode(STORAGE_ROOT_KEY))
    (tmp_path / "ek.txt").write_text(f"{STORAGE_ROOT_KEY[:76]}\n{STORAGE_ROOT_KEY[76:]}\n")
    for file in ("ek.pub", "ek.txt"):
        name = new_id()
        assert dps("enroll", name, "--tpm", str(tmp_path / file)) == (0, "", "")
        assert shown(dps, name)["attestation"]["tpm"]["endorsementKey"] == STORAGE_ROOT_KEY
        assert dps("key", name) == (2, "", f"error: {name} attests by tpm, so it has no key")


def test_a_webhook_is_named(dps: Dps) -> None:
    name = new_id()
    assert dps("enroll", name, "--webhook", "https://functions.test/pick")[0] == 0
    assert shown(dps, name)["customAllocationDefinition"]["webhookUrl"] == "https://functions.test/pick"


def test_what_is_there_is_not_written_over_by_mistake(dps: Dps) -> None:
    name = new_id()
    assert dps("enroll", name)[0] == 0
    told = f"error: Conflict (409000): {name} is enrolled already: give --replace to write over it"
    assert dps("enroll", name) == (1, "", told)
    assert dps("enroll", name, "--replace")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("key", "nobody"), 1, "EnrollmentNotFound (404201): Enrollment nobody not found."),
        (("delete", "nobody"), 1, "EnrollmentNotFound (404201): Enrollment nobody not found."),
        (("enroll", "no spaces"), 1, "BadRequest (400000): registration id 'no spaces' is not allowed"),
        (("enroll", "r", "--webhook", "nowhere"), 1, "webhookUrl must be an http or https URL"),
        (("enroll", "r", "--tpm", __file__), 1, "is not the public area of a TPM's RSA storage key"),
        (("enroll", "r", "--tpm", __file__, "--certificate", __file__), 2, "not by both"),
        (("key", "r", "--device", "d"), 2, "give --group with --device"),
        (("list", "--dps", "nonsense"), 2, "connection string"),
    ],
)
def test_mistakes_are_told_in_a_line(dps: Dps, arguments: tuple[str, ...], code: int, said: str) -> None:
    given, out, err = dps(*arguments)
    assert (given, out, err.count("\n")) == (code, "", 0)
    assert said in err


def test_a_wrong_key_of_the_service_is_told(dps: Dps, home: Path) -> None:
    known = json.loads((home / "hub" / "provisioning.json").read_text())["connection_string"]
    wrong = known.rpartition("SharedAccessKey=")[0] + "SharedAccessKey=" + base64.b64encode(bytes(32)).decode()
    assert dps("list", "--dps", wrong) == (1, "", "error: Unauthorized (401002): Unauthorized")
