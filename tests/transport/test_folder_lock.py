from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from transport.folder_lock import FolderLock, FolderLockedError

HOLD = (
    "import sys, pathlib; from transport.folder_lock import FolderLock\n"
    "FolderLock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
)


def test_a_lock_is_free_again_once_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = FolderLock(path), FolderLock(path)
    first.acquire()
    with pytest.raises(FolderLockedError, match=str(tmp_path)) as caught:
        second.acquire()
    assert caught.value.holder == str(os.getpid())
    first.release()
    second.acquire()
    second.release()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")
    lock.acquire()
    lock.release()
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_process_that_is_killed_gives_its_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderLockedError) as caught:
            FolderLock(path).acquire()
        assert caught.value.holder == str(holder.pid)
        holder.kill()
    lock = FolderLock(path)
    lock.acquire()
    lock.release()
