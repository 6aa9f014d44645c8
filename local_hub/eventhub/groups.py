"""Consumer groups of the built-in endpoint: names that clients read under, without regard to case."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Final

from iot_core.errors import InputError
from iot_core.limits import CONSUMER_GROUPS_PER_HUB
from transport.store import Store

__all__ = ["DEFAULT_GROUP", "ConsumerGroupError", "ConsumerGroups"]

DEFAULT_GROUP: Final = "$Default"
"""Every Event Hub has it; it cannot be removed."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,48}[A-Za-z0-9])?", re.ASCII)


class ConsumerGroupError(InputError):
    """A consumer group that cannot be added or removed."""


class ConsumerGroups:
    """The groups that exist; ``load`` first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[str, str] = {}

    async def load(self) -> None:
        """Read the groups."""
        rows = await self._store.aread(
            lambda connection: connection.execute("SELECT name FROM consumer_groups").fetchall()
        )
        self._names = {name.lower(): name for name in (DEFAULT_GROUP, *(name for (name,) in rows))}

    @property
    def names(self) -> tuple[str, ...]:
        """As they were written when they were added, "$Default" first."""
        return DEFAULT_GROUP, *sorted(name for name in self._names.values() if name != DEFAULT_GROUP)

    def find(self, name: str) -> str | None:
        """The group that a client means by ``name``; None when there is none."""
        return self._names.get(name.lower())

    async def add(self, name: str) -> None:
        """Add a group; nothing happens when it is there. ConsumerGroupError for a bad name or one too many."""
        if not _NAME.fullmatch(name) and name.lower() != DEFAULT_GROUP.lower():
            text = "up to 50 letters, digits and '._-', the first and the last a letter or digit"
            raise ConsumerGroupError(f"{name[:60]!r} cannot name a consumer group: use {text}")
        if self.find(name):
            return
        if len(self._names) >= CONSUMER_GROUPS_PER_HUB:
            raise ConsumerGroupError(f"there are {len(self._names)} consumer groups already: remove one first")
        self._names[name.lower()] = name
        await self._store.write(_statement("INSERT OR IGNORE INTO consumer_groups (name) VALUES (?)", name))

    async def remove(self, name: str) -> None:
        """Remove a group; ConsumerGroupError when it is "$Default" or not there."""
        found = self.find(name)
        if found is None or found == DEFAULT_GROUP:
            known = ", ".join(self.names)
            raise ConsumerGroupError(f"{name[:60]!r} cannot be removed: there are {known}, and $Default stays")
        del self._names[found.lower()]
        await self._store.write(_statement("DELETE FROM consumer_groups WHERE name = ?", found))


def _statement(text: str, name: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(text, (name,))
