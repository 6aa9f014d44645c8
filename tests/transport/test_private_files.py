from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from transport.private_files import write_private


def test_a_file_is_private_before_it_has_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    opened = os.fdopen

    def watch(descriptor: int, mode: str) -> Any:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        return opened(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", watch)
    previous = os.umask(0)
    try:
        write_private(tmp_path / "key", b"secret")
    finally:
        os.umask(previous)
    assert modes == [0o600]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(tmp_path / "key", b"old")
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_private(tmp_path / "key", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"old")]


def test_what_is_not_durable_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError("a sync")))
    write_private(tmp_path / "key", b"new", durable=False)
    assert (tmp_path / "key").read_bytes() == b"new"


def test_what_a_private_file_holds_already_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_private(file, b"secret")
    before = file.stat().st_ino
    write_private(file, b"secret")
    assert file.stat().st_ino == before


def test_a_file_that_others_may_read_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"secret")
    file.chmod(0o644)
    write_private(file, b"secret")
    assert file.stat().st_mode & 0o777 == 0o600
