"""Where modules keep what outlives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot_core.errors import InputError
from modules.common.data import data_folder


def test_the_folder_that_is_named_is_made_for_its_user_alone(tmp_path: Path) -> None:
    folder = data_folder("m", str(tmp_path / "a" / "b"), {}, remedy="")
    assert folder == tmp_path / "a" / "b"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_a_name_every_module_identity_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environments = [{"IOTEDGE_MODULEID": name, "IOTEDGE_DEVICEID": "d/1"} for name in ("a", "b")]
    folders = {data_folder("m", None, environment, remedy="") for environment in environments}
    assert len(folders) == 2
    assert all(folder.parent == tmp_path for folder in folders)


def test_a_folder_that_cannot_be_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be used .*: name another with --data"):
        data_folder("m", str(tmp_path / "file" / "x"), {}, remedy="name another with --data")
