"""Snapshots of a running hub, and exchanging a hub's data; what breaks off leaves the data that was there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from iot_core.errors import InputError, StoreError
from local_hub.config import HubConfig
from local_hub.controls.snapshots import DATA, Snapshots, exchanged, fresh_data, recover
from local_hub.home import HubHome
from local_hub.hub import Hub
from local_hub.local_hub import LocalHub
from transport.loopback import free_loopback_address
from transport.store import Store


@pytest.fixture
def home(tmp_path: Path) -> HubHome:
    made = HubHome(tmp_path)
    made.create()
    return made


@pytest.fixture
async def store(home: HubHome) -> AsyncIterator[Store]:
    opened = Store.open(home.database, schema=Hub.schema())
    yield opened
    await opened.close()


@pytest.fixture
def filled(home: HubHome) -> Callable[[], dict[str, str]]:
    """A folder with old data, and what it holds now."""
    (home.folder / "blobs").mkdir()
    for name in ("routing.json", "blobs/x"):
        (home.folder / name).write_text("old")
    return lambda: {
        str(path.relative_to(home.folder)): path.read_text() for path in home.folder.rglob("*") if path.is_file()
    }


async def test_a_snapshot_of_a_running_hub_holds_what_was_committed(home: HubHome, store: Store) -> None:
    await store.append("s", [b"1", b"2"])
    writes = asyncio.gather(*(store.append("later", [b"x"]) for _ in range(50)))
    snapshot = await Snapshots(home).save(store, "one")
    await writes
    assert snapshot.size > 0
    copy = Store.open(Snapshots(home).folder("one") / "hub.db", schema=Hub.schema())
    assert list(copy.records("s")) == [b"1", b"2"]
    await copy.close()


async def test_snapshots_are_listed_deleted_and_never_overwritten(home: HubHome, store: Store) -> None:
    snapshots = Snapshots(home)
    assert snapshots.list() == []
    await snapshots.save(store, "b")
    await snapshots.save(store, "a.1")
    assert [snapshot.name for snapshot in snapshots.list()] == ["a.1", "b"]
    with pytest.raises(InputError, match="already"):
        await snapshots.save(store, "b")
    snapshots.delete("b")
    with pytest.raises(InputError, match=r"no snapshot 'b': there are a\.1"):
        snapshots.delete("b")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../x", "a b", "x" * 65, "a\n"])
async def test_names_cannot_leave_the_folder(home: HubHome, store: Store, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a snapshot"):
        await Snapshots(home).save(store, name)
    with pytest.raises(InputError, match="cannot name a snapshot"):
        Snapshots(home).delete(name)


async def test_snapshots_are_their_owners_alone(home: HubHome, store: Store) -> None:
    await Snapshots(home).save(store, "one")
    folder = home.folder / "snapshots"
    modes = {path: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_exchanged_data_takes_the_place_of_all_that_was_there(
    home: HubHome, tmp_path: Path, filled: Callable[[], dict[str, str]]
) -> None:
    source = tmp_path / "source"
    (source / "blobs").mkdir(parents=True)
    (source / "blobs" / "y").write_text("new")
    with exchanged(home, source):
        assert filled()["replaced/routing.json"] == "old"
    assert filled() == {"blobs/y": "new"}


def test_when_the_new_data_does_not_open_the_old_comes_back(
    home: HubHome, tmp_path: Path, filled: Callable[[], dict[str, str]]
) -> None:
    source, before = tmp_path / "source", filled()
    source.mkdir()
    (source / "hub.db").write_text("no database")
    with pytest.raises(StoreError), exchanged(home, source):
        Store.open(home.database, schema=Hub.schema())
    assert filled() == before


@pytest.mark.parametrize("moved", [1, 2])
def test_an_exchange_that_a_crash_broke_off_is_undone_at_the_next_start(
    home: HubHome, filled: Callable[[], dict[str, str]], moved: int
) -> None:
    before = filled()
    replaced = home.folder / "replaced"
    replaced.mkdir()
    for name in ("routing.json", "blobs")[:moved]:
        (home.folder / name).rename(replaced / name)
    if moved == 2:
        (replaced / "names").write_text("\n".join(DATA))
        (home.folder / "hub.db").write_text("half of the new one")
    recover(home)
    recover(home)
    assert filled() == before


async def test_fresh_data_keeps_the_keys_or_nothing(home: HubHome, store: Store) -> None:
    await store.write(lambda connection: connection.execute("INSERT INTO settings VALUES ('policies', 'k')") and None)
    await store.write(lambda connection: connection.execute("INSERT INTO consumer_groups VALUES ('g')") and None)
    for keep, expected in ((True, [("policies", "k")]), (False, [])):
        folder = await fresh_data(home, Hub.schema(), keep_keys=keep)
        fresh = Store.open(folder / "hub.db", schema=Hub.schema())
        assert fresh.read(lambda connection: connection.execute("SELECT * FROM settings").fetchall()) == expected
        assert fresh.read(lambda connection: connection.execute("SELECT * FROM consumer_groups").fetchall()) == []
        await fresh.close()


async def test_a_hub_that_cannot_open_a_snapshot_goes_on_with_what_it_had(tmp_path: Path) -> None:
    hub = LocalHub(HubConfig(home=tmp_path, host=free_loopback_address([8443, 8883, 5671]), http_port=8443))
    await hub.start()
    try:
        broken = tmp_path / "hub" / "snapshots" / "broken"
        broken.mkdir(parents=True)
        (broken / "hub.db").write_text("no database at all")
        with pytest.raises(StoreError):
            await hub.restore("broken")
        await hub.reset(keys=False)
        assert not (tmp_path / "hub" / "replaced").exists()
        assert (tmp_path / "hub" / "running.json").exists()
    finally:
        await hub.stop()
    store = Store.open(tmp_path / "hub" / "hub.db", schema=Hub.schema())
    assert store.read(lambda connection: connection.execute("SELECT COUNT(*) FROM settings").fetchone())[0] > 0
    await store.close()
