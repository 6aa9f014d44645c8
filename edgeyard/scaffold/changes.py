"""Files that are made and changed together, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iot_core.errors import InputError

__all__ = ["Changes"]


class Changes:
    """Use as `with changes.carried_out(): …`: when writing or the block fails, all is as it was before."""

    def __init__(self) -> None:
        self._new: dict[Path, bytes] = {}
        self._changed: dict[Path, bytes] = {}

    def add(self, path: Path, content: str | bytes) -> None:
        """A file that must not exist yet."""
        self._new[path] = content.encode() if isinstance(content, str) else content

    def change(self, path: Path, text: str) -> None:
        """A file that exists, with a new text."""
        self._changed[path] = text.encode()

    @property
    def paths(self) -> list[Path]:
        return [*self._new, *self._changed]

    @contextmanager
    def carried_out(self) -> Iterator[None]:
        """Write everything, then run the block. InputError when a file cannot be written."""
        before = {path: path.read_bytes() for path in self._changed}
        made: list[Path] = []
        try:
            for path, content in self._new.items():
                made += _make_folders(path.parent)
                with path.open("xb") as file:
                    made.append(path)
                    file.write(content)
            for path, content in self._changed.items():
                _replace(path, content)
            yield
        except BaseException as error:
            _undo(made, before)
            if isinstance(error, OSError):
                raise InputError(f"{error.filename} cannot be written: {error.strerror}; nothing was changed") from None
            raise


def _make_folders(folder: Path) -> list[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    os.chmod(temporary, path.stat().st_mode & 0o777)
    temporary.replace(path)


def _undo(made: list[Path], before: dict[Path, bytes]) -> None:
    for path, content in before.items():
        with contextlib.suppress(OSError):
            if path.read_bytes() != content:
                _replace(path, content)
    for path in reversed(made):
        with contextlib.suppress(OSError):
            if path.is_dir():
                _remove_caches(path)
                path.rmdir()
            else:
                path.unlink()


def _remove_caches(folder: Path) -> None:
    cache = folder / "__pycache__"
    if cache.is_dir():
        for file in cache.iterdir():
            file.unlink()
        cache.rmdir()
