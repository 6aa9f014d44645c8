"""The series of the telemetry scorer on disk, so that a restart does not start cold.

Guarantee: after a stop (SIGTERM) nothing is missing. After SIGKILL or a power cut a series goes on without the values
of the last SAVE_EVERY_S seconds; which messages are scored and sent on does not depend on that. What is on disk of a
series is always whole. Contexts are not kept: they are learnt again from the values, at the first that is judged.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import orjson
import structlog

from iot_core.errors import StoreError
from modules.scorer.anomaly import Detector, Kept, Key
from transport.store import Store

__all__ = ["SAVE_EVERY_S", "Archive", "keep_saving"]

FILE_NAME = "scorer.db"
SCHEMA = (Path(__file__).with_name("series_v1.sql"),)
SAVE_EVERY_S = 10.0  # a thousand series that all change make 10 MB each time
FLOAT64 = np.dtype("<f8")
log = structlog.get_logger("scorer")


class Archive:
    """One file in a folder; StoreError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._store = Store.open(folder / FILE_NAME, schema=SCHEMA)
        self._used = self._store.read(lambda c: c.execute("SELECT coalesce(max(used), 0) FROM series").fetchone()[0])

    def load(self, limit: int) -> list[Kept]:
        """The series used last, at most `limit`, the one silent for longest first."""
        query = "SELECT key, window, scores FROM (SELECT * FROM series ORDER BY used DESC LIMIT ?) ORDER BY used"
        return [_kept(*row) for row in self._store.read(lambda c: c.execute(query, (limit,)).fetchall())]

    async def save(self, detector: Detector) -> None:
        """Write what has changed since the last call; returns when it is on disk. What could not be written is written
        the next time."""
        kept, gone = detector.changed()
        if not kept and not gone:
            return
        rows = [_row(each, self._used + position) for position, each in enumerate(kept, 1)]
        self._used += len(rows)
        try:
            await self._store.write(lambda connection: _write(connection, rows, gone))
        except StoreError:
            detector.unsaved(kept, gone)
            raise

    async def close(self) -> None:
        await self._store.close()


async def keep_saving(archive: Archive, detector: Detector, every_s: float = SAVE_EVERY_S) -> None:
    """Save again and again until cancelled; a disk that refuses is logged, and tried again."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await archive.save(detector)
        except StoreError as error:
            log.warning("series not saved", reason=str(error))


Row = tuple[str, int, bytes, bytes]


def _row(kept: Kept, used: int) -> Row:
    return _text(kept.key), used, kept.values.astype(FLOAT64).tobytes(), kept.scores.astype(FLOAT64).tobytes()


def _kept(key: str, window: bytes, scores: bytes) -> Kept:
    return Kept(
        key=tuple(orjson.loads(key)),
        values=np.frombuffer(window, dtype=FLOAT64),
        scores=np.frombuffer(scores, dtype=FLOAT64),
    )


def _write(connection: sqlite3.Connection, rows: Iterable[Row], gone: Iterable[Key]) -> None:
    connection.executemany("DELETE FROM series WHERE key = ?", [(_text(key),) for key in gone])
    connection.executemany("INSERT OR REPLACE INTO series (key, used, window, scores) VALUES (?, ?, ?, ?)", rows)


def _text(key: Key) -> str:
    return orjson.dumps(key).decode()
