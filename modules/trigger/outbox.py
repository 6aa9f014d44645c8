"""What must outlive the process: deliveries that are not done, and the series of rules.

Guarantee: `record` returns once its changes are on disk, all of them or none; a delivery is handed out until it is
done, parked or discarded (at least once).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from modules.trigger.engine import Change, Kept, SeriesName
from modules.trigger.firing import Firing, packed, unpacked
from modules.trigger.series import Phase, Series
from transport.store import Store

__all__ = ["Delivery", "Lane", "Outbox", "Overflow", "Parked", "Selection"]

SCHEMA = (Path(__file__).with_name("outbox_v1.sql"),)
MAX_PARKED = 10_000
"""More than a person looks at; at the largest message 2.5 GB, in practice some megabytes."""
MAX_WAITING = 10_000
"""Of one lane. What fires beyond is parked at once, so that a target that is away for weeks does not fill the disk."""
FULL = "too many deliveries wait for this action"


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Deliveries of one rule by one action; lanes do not wait for each other."""

    rule: str
    action: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One action of one firing; `attempts` that failed so far."""

    number: int
    lane: Lane
    firing: Firing
    attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class Parked:
    """A delivery that was given up, and why."""

    delivery: Delivery
    at: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Overflow:
    """Deliveries that were parked at once because too many wait, and the oldest parked ones that made room."""

    parked: int
    discarded: int


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which parked deliveries: those that match all that is given."""

    numbers: tuple[int, ...] | None = None
    rule: str | None = None
    action: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """A condition of SQL and its values."""
        parts, values = ["parked_at IS NOT NULL"], list[Any]()
        if self.numbers is not None:
            parts.append(f"number IN ({', '.join('?' * len(self.numbers))})")
            values += self.numbers
        for name, value in (("rule", self.rule), ("action", self.action)):
            if value is not None:
                parts.append(f"{name} = ?")
                values.append(value)
        return " AND ".join(parts), values


class Outbox:
    """See the module. StoreError when the disk refuses."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The outbox in `folder`, made if it is not there; StoreError."""
        return cls(Store.open(folder / "trigger.db", schema=SCHEMA))

    async def close(self) -> None:
        await self._store.close()

    async def record(self, changes: Sequence[Change], now: float) -> Overflow:
        """Make changes durable, and their firings into deliveries due now."""

        def work(connection: sqlite3.Connection) -> Overflow:
            parked = sum(_record(connection, change, now) for change in changes)
            return Overflow(parked=parked, discarded=_run(connection, _DISCARD_OLDEST, [MAX_PARKED]) if parked else 0)

        return await self._store.write(work)

    async def forget(self, names: Iterable[SeriesName]) -> None:
        """Remember nothing of these series."""
        rows = [(name.rule, name.key) for name in names]
        await self._store.write(lambda connection: _many(connection, _DELETE_SERIES, rows))

    def series(self) -> list[tuple[SeriesName, Kept]]:
        """All that is remembered of series."""
        return [_kept(*row) for row in self._rows("SELECT * FROM series")]

    def lanes(self) -> list[Lane]:
        """Lanes in which something waits."""
        rows = self._rows("SELECT DISTINCT rule, action FROM delivery WHERE parked_at IS NULL")
        return [Lane(rule=rule, action=action) for rule, action in rows]

    def next(self, lane: Lane, now: float, limit: int) -> list[Delivery]:
        """Deliveries of the lane that are due, the longest due first."""
        return [_delivery(*row) for row in self._rows(_NEXT, lane.rule, lane.action, now, limit)]

    def next_due(self, lane: Lane) -> float | None:
        """When the lane's next delivery is due (unix seconds); None when nothing waits in it."""
        ((due,),) = self._rows(_NEXT_DUE, lane.rule, lane.action)
        return None if due is None else float(due)

    async def done(self, number: int) -> None:
        """The action was carried out."""
        await self._store.write(lambda connection: _run(connection, "DELETE FROM delivery WHERE number = ?", [number]))

    async def failed(self, number: int, *, attempts: int, due: float, reason: str) -> None:
        """To be tried again at `due`."""
        await self._store.write(lambda connection: _run(connection, _FAILED, [attempts, due, reason, number]))

    async def park(self, number: int, *, attempts: int, now: float, reason: str) -> int:
        """Give up; how many of the oldest parked deliveries were discarded to make room."""

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(_PARK, [attempts, now, reason, number])
            return _run(connection, _DISCARD_OLDEST, [MAX_PARKED])

        return await self._store.write(work)

    def parked(self, limit: int) -> list[Parked]:
        """The last ones that were parked, newest first."""
        return [_parked(*row) for row in self._rows(_PARKED, limit)]

    async def retry(self, selection: Selection, now: float) -> list[Lane]:
        """Try parked deliveries again from the start; the lane of each."""
        where, values = selection.where()

        def work(connection: sqlite3.Connection) -> list[Lane]:
            rows = connection.execute(f"SELECT rule, action FROM delivery WHERE {where}", values).fetchall()
            _run(connection, f"{_UNPARK} WHERE {where}", [now, *values])
            return [Lane(rule=rule, action=action) for rule, action in rows]

        return await self._store.write(work)

    async def discard(self, selection: Selection) -> int:
        """Forget parked deliveries; how many."""
        where, values = selection.where()
        sql = f"DELETE FROM delivery WHERE {where}"
        return await self._store.write(lambda connection: _run(connection, sql, values))

    def counts(self) -> tuple[int, int]:
        """How many deliveries wait, and how many are parked."""
        ((waiting, parked),) = self._rows("SELECT count(*) - count(parked_at), count(parked_at) FROM delivery")
        return int(waiting), int(parked)

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._store.read(lambda connection: connection.execute(sql, values).fetchall())


_COLUMNS = "number, rule, action, content, attempts"
_NEXT = (
    f"SELECT {_COLUMNS} FROM delivery WHERE rule = ? AND action = ? AND parked_at IS NULL AND due <= ? "
    "ORDER BY due, number LIMIT ?"
)
_NEXT_DUE = "SELECT min(due) FROM delivery WHERE rule = ? AND action = ? AND parked_at IS NULL"
_PARKED = (
    f"SELECT parked_at, reason, {_COLUMNS} FROM delivery WHERE parked_at IS NOT NULL "
    "ORDER BY parked_at DESC, number DESC LIMIT ?"
)
_FAILED = "UPDATE delivery SET attempts = ?, due = ?, reason = ? WHERE number = ?"
_PARK = "UPDATE delivery SET attempts = ?, parked_at = ?, reason = ? WHERE number = ?"
_UNPARK = "UPDATE delivery SET parked_at = NULL, attempts = 0, due = ?"
_DISCARD_OLDEST = (
    "DELETE FROM delivery WHERE number IN (SELECT number FROM delivery WHERE parked_at IS NOT NULL "
    "ORDER BY parked_at DESC, number DESC LIMIT -1 OFFSET ?)"
)
_WAITING = "SELECT count(*) FROM delivery WHERE rule = ? AND action = ? AND parked_at IS NULL"
# A firing that is known already waits or is parked: the message that made it came a second time.
_INSERT = """
INSERT OR IGNORE INTO delivery (firing, rule, action, content, due, parked_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_DELETE_SERIES = "DELETE FROM series WHERE rule = ? AND key = ?"
_PUT_SERIES = (
    "REPLACE INTO series (rule, key, digest, phase, since, fired_at, input, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def _record(connection: sqlite3.Connection, change: Change, now: float) -> int:
    _record_series(connection, change)
    return sum(_insert(connection, change.firing, action, now) for action in change.actions) if change.firing else 0


def _record_series(connection: sqlite3.Connection, change: Change) -> None:
    name, kept = change.name, change.after
    if kept is None:
        connection.execute(_DELETE_SERIES, (name.rule, name.key))
        return
    series = kept.series
    values = (kept.digest, series.phase, series.since, series.fired_at, kept.input, orjson.dumps(packed(kept.message)))
    connection.execute(_PUT_SERIES, (name.rule, name.key, *values))


def _insert(connection: sqlite3.Connection, firing: Firing, action: str, now: float) -> int:
    """1 if it was parked because too many wait."""
    (waiting,) = connection.execute(_WAITING, (firing.rule, action)).fetchone()
    full = waiting >= MAX_WAITING
    values = (firing.id, firing.rule, action, firing.encoded(), now, now if full else None, FULL if full else "")
    inserted = _run(connection, _INSERT, values)
    return inserted if full else 0


def _run(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> int:
    return connection.execute(sql, values).rowcount


def _many(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection.executemany(sql, rows)


def _delivery(number: int, rule: str, action: str, content: bytes, attempts: int) -> Delivery:
    lane = Lane(rule=rule, action=action)
    return Delivery(number=number, lane=lane, firing=Firing.decoded(content), attempts=attempts)


def _parked(at: float, reason: str, *columns: Any) -> Parked:
    return Parked(delivery=_delivery(*columns), at=at, reason=reason)


def _kept(
    rule: str, key: str, digest: str, phase: str, since: float, fired_at: float | None, name: str, message: bytes
) -> tuple[SeriesName, Kept]:
    kept = Kept(
        series=Series(phase=Phase(phase), since=since, fired_at=fired_at),
        message=unpacked(orjson.loads(message)),
        input=name,
        digest=digest,
    )
    return SeriesName(rule=rule, key=key), kept
