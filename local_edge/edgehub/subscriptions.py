"""Subscriptions that outlive a connection: clients with clean session 0 do not repeat them when they come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from transport.store import Store

__all__ = ["SubscriptionStore"]


class SubscriptionStore:
    """Topic filters by client id; kept in memory, changes are on disk when a call returns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.read(lambda connection: connection.execute("SELECT client, filter FROM subscription").fetchall())
        self._filters: dict[str, set[str]] = {}
        for client, topic_filter in rows:
            self._filters.setdefault(client, set()).add(topic_filter)

    def get(self, client: str) -> frozenset[str]:
        """The filters of the session of `client`; empty when it has none."""
        return frozenset(self._filters.get(client, ()))

    async def put(self, client: str, filters: Iterable[str]) -> None:
        """Keep exactly `filters`; none of them ends the session."""
        wanted = set(filters)
        if self._filters.get(client, set()) == wanted:
            return
        self._filters[client] = wanted

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM subscription WHERE client = ?", (client,))
            connection.executemany(
                "INSERT INTO subscription VALUES (?, ?)", [(client, name) for name in sorted(wanted)]
            )

        await self._store.write(work)
