"""What MQTT sessions outlive their connections: the subscriptions of clients that connect with clean session 0.

They are kept on disk, because SDK clients never subscribe again after a reconnect, not even when the hub was restarted
in between (MQTT 3.1.1, section 3.1.2.4; IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from transport.store import Store

__all__ = ["MqttSessions", "SessionKey"]

_CREATE = """
CREATE TABLE IF NOT EXISTS mqtt_sessions (
    client_id TEXT PRIMARY KEY, generation_id TEXT NOT NULL, filters TEXT NOT NULL
) WITHOUT ROWID, STRICT
"""
_SAVE = "INSERT OR REPLACE INTO mqtt_sessions (client_id, generation_id, filters) VALUES (?, ?, ?)"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionKey:
    """A client, and which registration of its identity: one deleted and made again starts without a session."""

    client_id: str
    generation_id: str


class MqttSessions:
    """Sessions by client; made by ``open``. Reads are in memory, changes return once they are on disk."""

    def __init__(self, store: Store, sessions: dict[SessionKey, dict[str, int]]) -> None:
        self._store = store
        self._sessions = sessions

    @classmethod
    async def open(cls, store: Store) -> MqttSessions:
        """Load every session; StoreError when the database cannot be used."""
        await store.write(lambda connection: connection.execute(_CREATE) and None)
        return cls(store, dict(store.read(_load)))

    def find(self, key: SessionKey) -> dict[str, int] | None:
        """The filters of a session and the QoS each was granted; None when there is no session."""
        filters = self._sessions.get(key)
        return None if filters is None else dict(filters)

    async def save(self, key: SessionKey, filters: Mapping[str, int]) -> None:
        """Keep a session; writes nothing when it is as it was."""
        if self._sessions.get(key) == filters:
            return
        self._sessions[key] = dict(filters)
        row = (key.client_id, key.generation_id, orjson.dumps(dict(filters)).decode())
        await self._store.write(lambda connection: connection.execute(_SAVE, row) and None)

    async def forget(self, key: SessionKey) -> None:
        """Drop a session, as clean session 1 asks."""
        if self._sessions.pop(key, None) is not None:
            drop = "DELETE FROM mqtt_sessions WHERE client_id = ?"
            await self._store.write(lambda connection: connection.execute(drop, (key.client_id,)) and None)


def _load(connection: sqlite3.Connection) -> list[tuple[SessionKey, dict[str, int]]]:
    rows = connection.execute("SELECT client_id, generation_id, filters FROM mqtt_sessions")
    return [(SessionKey(client_id=row[0], generation_id=row[1]), orjson.loads(row[2])) for row in rows]
