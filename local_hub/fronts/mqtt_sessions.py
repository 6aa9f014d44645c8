"""What MQTT sessions outlive their connections: the subscriptions of clients that connect with clean session 0.

They are kept on disk, because SDK clients never subscribe again after a reconnect, not even when the hub was restarted
in between (MQTT 3.1.1, section 3.1.2.4; IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol"). A
session goes with its identity.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from iot_core.identity import Identity
from local_hub.json_text import dump, load
from local_hub.rows import key
from transport.store import Store

__all__ = ["MqttSessions", "SessionKey"]

_OF = "device_id = ? AND module_id = ?"
_FIND = (
    f"SELECT filters FROM mqtt_sessions JOIN identities USING (device_id, module_id) WHERE {_OF} AND generation_id = ?"
)
# Nothing is written for an identity that was deleted meanwhile, or made anew.
_SAVE = (
    "INSERT OR REPLACE INTO mqtt_sessions (device_id, module_id, filters) "
    f"SELECT device_id, module_id, ? FROM identities WHERE {_OF} AND generation_id = ?"
)
_DROP = f"DELETE FROM mqtt_sessions WHERE {_OF}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionKey:
    """A client, and which registration of its identity: one deleted and made again starts without a session."""

    identity: Identity
    generation_id: str


class MqttSessions:
    """Sessions by client. Changes return once they are on disk, and are found from the moment they are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # What is on its way to the disk; None for a session that is dropped.
        self._changing: dict[SessionKey, dict[str, int] | None] = {}

    def find(self, session: SessionKey) -> dict[str, int] | None:
        """The filters of a session and the QoS each was granted; None when there is no session."""
        if session in self._changing:
            filters = self._changing[session]
            return None if filters is None else dict(filters)
        return self._store.read(lambda connection: _load(connection, session))

    async def save(self, session: SessionKey, filters: Mapping[str, int]) -> None:
        """Keep a session in place of the one the client had."""
        row = (dump(dict(filters)), *key(session.identity), session.generation_id)
        await self._change(session, dict(filters), _SAVE, row)

    async def forget(self, session: SessionKey) -> None:
        """Drop the client's session, as clean session 1 asks."""
        if self.find(session) is not None:
            await self._change(session, None, _DROP, key(session.identity))

    async def _change(
        self, session: SessionKey, filters: dict[str, int] | None, statement: str, row: tuple[str, ...]
    ) -> None:
        self._changing[session] = filters
        try:
            await self._store.write(lambda connection: connection.execute(statement, row) and None)
        finally:
            if self._changing.get(session) is filters:
                del self._changing[session]


def _load(connection: sqlite3.Connection, session: SessionKey) -> dict[str, int] | None:
    row = connection.execute(_FIND, (*key(session.identity), session.generation_id)).fetchone()
    if row is None:
        return None
    filters: dict[str, int] = load(row[0])
    return filters
