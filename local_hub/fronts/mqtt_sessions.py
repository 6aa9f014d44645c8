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
_DROP = "DELETE FROM mqtt_sessions WHERE client_id = ?"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionKey:
    """A client, and which registration of its identity: one deleted and made again starts without a session."""

    client_id: str
    generation_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Session:
    generation_id: str
    filters: dict[str, int]


class MqttSessions:
    """Sessions by client; made by ``open``. Reads are in memory, changes return once they are on disk."""

    def __init__(self, store: Store, sessions: dict[str, _Session]) -> None:
        self._store = store
        self._sessions = sessions

    @classmethod
    async def open(cls, store: Store) -> MqttSessions:
        """Load every session; StoreError when the database cannot be used."""
        await store.write(lambda connection: connection.execute(_CREATE) and None)
        return cls(store, store.read(_load))

    def find(self, key: SessionKey) -> dict[str, int] | None:
        """The filters of a session and the QoS each was granted; None when there is no session."""
        session = self._sessions.get(key.client_id)
        return dict(session.filters) if session and session.generation_id == key.generation_id else None

    async def save(self, key: SessionKey, filters: Mapping[str, int]) -> None:
        """Keep a session in place of the one the client had."""
        self._sessions[key.client_id] = _Session(generation_id=key.generation_id, filters=dict(filters))
        row = (key.client_id, key.generation_id, orjson.dumps(dict(filters)).decode())
        await self._store.write(lambda connection: connection.execute(_SAVE, row) and None)

    async def forget(self, key: SessionKey) -> None:
        """Drop the client's session, as clean session 1 asks."""
        if self._sessions.pop(key.client_id, None) is not None:
            await self._store.write(lambda connection: connection.execute(_DROP, (key.client_id,)) and None)


def _load(connection: sqlite3.Connection) -> dict[str, _Session]:
    rows = connection.execute("SELECT client_id, generation_id, filters FROM mqtt_sessions")
    return {row[0]: _Session(generation_id=row[1], filters=orjson.loads(row[2])) for row in rows}
