"""Snapshots of a hub's data, and putting other data in the place of what a hub has.

A snapshot is a folder in ``<home>/hub/snapshots``: the database (a copy by SQLite's backup, consistent while the hub
runs), the routing settings and the files of blobs. Keys of policies and devices are in the database and so in the
snapshot; certificates and the trust of clients in them are not.

Data is exchanged while no hub serves it. What was there goes to ``replaced/`` until the new data has been opened; a
``replaced/`` found at a start means that it never was, and everything is put back.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from iot_core.errors import InputError, StoreError
from local_hub.home import HubHome
from transport.store import Store

__all__ = ["Snapshot", "Snapshots", "exchanged", "fresh_data", "recover"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DATABASE = "hub.db"
_BLOBS = "blobs"
DATA = (_DATABASE, "routing.json", _BLOBS)
"""Files and folders of ``<home>/hub`` that a snapshot holds and a reset empties."""
CERTIFICATES = ("ca.pem", "ca.key", "server.pem", "server.key", "bundle.pem")
_REPLACED = "replaced"
_ALL_MOVED = "names"
"""In ``replaced/``, once all that was there is there: the names that are exchanged."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """``saved`` is in unix seconds of the machine's clock, ``size`` the database's bytes."""

    name: str
    saved: float
    size: int


class Snapshots:
    """The snapshots in a hub's folder. InputError for a name that cannot be one, or names none."""

    def __init__(self, home: HubHome) -> None:
        self._folder = home.folder / "snapshots"
        self._home = home

    def list(self) -> list[Snapshot]:
        """All there are, by name."""
        if not self._folder.is_dir():
            return []
        found = [folder for folder in self._folder.iterdir() if (folder / _DATABASE).is_file()]
        return [_told(folder) for folder in sorted(found) if _NAME.fullmatch(folder.name)]

    async def save(self, store: Store, name: str) -> Snapshot:
        """Keep what is committed now; InputError when the name is taken, StoreError."""
        folder = self._folder / _checked(name)
        if folder.exists():
            raise InputError(f"there is a snapshot {name!r} already: delete it first, or use another name")
        unfinished = self._folder / f".{name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        unfinished.mkdir(mode=0o700)
        # Blobs' files are written once. Linked before and after: whichever the database names is there.
        _link_files(self._home.folder / _BLOBS, unfinished / _BLOBS)
        await store.backup(unfinished / _DATABASE)
        _link_files(self._home.folder / _BLOBS, unfinished / _BLOBS)
        if self._home.routing.is_file():
            shutil.copy(self._home.routing, unfinished)
        unfinished.rename(folder)
        return _told(folder)

    def folder(self, name: str) -> Path:
        """Where a snapshot's data is."""
        folder = self._folder / _checked(name)
        if not (folder / _DATABASE).is_file():
            known = ", ".join(snapshot.name for snapshot in self.list())
            raise InputError(f"there is no snapshot {name!r}: " + (f"there are {known}" if known else "there is none"))
        return folder

    def delete(self, name: str) -> None:
        """Remove one."""
        shutil.rmtree(self.folder(name))


async def fresh_data(home: HubHome, schema: Sequence[Path], *, keep_keys: bool) -> Path:
    """A folder with the data of a new hub, for ``exchanged``; the keys of policies and services stay if wanted."""
    folder = home.folder / "fresh"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    store = Store.open(folder / _DATABASE, schema=schema)
    try:
        if keep_keys and home.database.is_file():
            with closing(sqlite3.connect(home.database)) as old:
                rows = old.execute("SELECT name, value FROM settings").fetchall()
            await store.write(
                lambda connection: connection.executemany("INSERT INTO settings VALUES (?, ?)", rows) and None
            )
    except sqlite3.Error as error:
        raise StoreError(f"{home.database}: its keys cannot be read: {error}") from error
    finally:
        await store.close()
    return folder


@contextmanager
def exchanged(home: HubHome, source: Path, names: Sequence[str] = DATA) -> Iterator[None]:
    """Put the data in ``source`` in the place of the hub's, which must not run; the old data comes back when the body
    raises. Of ``names``, what ``source`` has not is gone.
    """
    _settle_log(home.database)
    replaced = home.folder / _REPLACED
    replaced.mkdir(mode=0o700)
    for name in names:
        with suppress(FileNotFoundError):
            (home.folder / name).rename(replaced / name)
    (replaced / _ALL_MOVED).write_text("\n".join(names))
    try:
        for name in names:
            _copy(source / name, home.folder / name)
        yield
    except BaseException:
        recover(home)
        raise
    _remove(replaced)


def recover(home: HubHome) -> None:
    """Put back what an exchange replaced that never ended; nothing happens where none began."""
    replaced = home.folder / _REPLACED
    if not replaced.is_dir():
        return
    marker = replaced / _ALL_MOVED
    if marker.is_file():
        # From here on, what is in the places of the old data is new.
        for name in (*marker.read_text().split(), f"{_DATABASE}-wal", f"{_DATABASE}-shm"):
            _remove(home.folder / name)
        marker.unlink()
    for path in list(replaced.iterdir()):
        path.rename(home.folder / path.name)
    replaced.rmdir()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:80]!r} cannot name a snapshot: use up to 64 letters, digits, '-', '_' and '.'")
    return name


def _told(folder: Path) -> Snapshot:
    state = (folder / _DATABASE).stat()
    return Snapshot(name=folder.name, saved=state.st_mtime, size=state.st_size)


def _settle_log(database: Path) -> None:
    """Bring what is in a database's log into its file, so that the file can go alone."""
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {error}") from error
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        _link_files(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o600)
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link_files(source: Path, target: Path) -> None:
    """Hard links to the files of a folder and those in it; files that go meanwhile are passed over."""
    for folder, _folders, files in os.walk(source):
        inner = target / Path(folder).relative_to(source)
        inner.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in files:
            with suppress(FileNotFoundError, FileExistsError):
                os.link(Path(folder) / name, inner / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
