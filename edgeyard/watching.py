"""Restarts modules of a running local edge when files that they are made of are saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from local_edge import control

__all__ = ["folders_of", "watch_modules"]

LOOK_S = 0.25
"""Between two looks. A change is taken when it is a look old and nothing else changed meanwhile: a save of many files
restarts a module once, and well within two seconds.
"""
SHARED = "common"
_LEFT_OUT = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache"})

Stamps = dict[Path, tuple[int, int]]


def folders_of(module: str, image: str, modules: Path) -> list[Path]:
    """The folders that a module's code lies in: modules/NAME by its id or else by its image, and modules/common."""
    by_image = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    for name in (module, by_image):
        folder = modules / name.replace("-", "_")
        if folder.is_dir():
            return [each for each in (folder, modules / SHARED) if each.is_dir()]
    return []


def watch_modules(
    edge: Path,
    folders: Mapping[str, Sequence[Path]],
    *,
    on_restart: Callable[[str, Path, float], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Until `stopped`: restart a module of the edge in folder `edge` when a file in its folders changes.

    `on_restart` is told the module, a file that changed, and the seconds from its change to the restart.
    """
    known = {module: _stamps(paths) for module, paths in folders.items()}
    moving: dict[str, tuple[Path, float]] = {}
    while not stopped():
        time.sleep(LOOK_S)
        for module, paths in folders.items():
            stamps = _stamps(paths)
            if (file := _changed(known[module], stamps)) is not None:
                moving.setdefault(module, (file, time.monotonic()))
            elif module in moving:
                file, since = moving.pop(module)
                control.restart(edge, module)
                on_restart(module, file, time.monotonic() - since)
            known[module] = stamps


def _stamps(folders: Sequence[Path]) -> Stamps:
    return {file: (status.st_mtime_ns, status.st_size) for folder in folders for file, status in _files(folder)}


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        if _LEFT_OUT.isdisjoint(path.parts) and path.suffix != ".pyc":
            try:
                status = path.stat()
            except FileNotFoundError:  # an editor replaced it just now
                continue
            if not path.is_dir():
                yield path, status


def _changed(before: Stamps, after: Stamps) -> Path | None:
    different = [file for file in {**before, **after} if before.get(file) != after.get(file)]
    return min(different, default=None)
