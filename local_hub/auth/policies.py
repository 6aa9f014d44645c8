"""Shared access policies: who may do what with a policy's key (IoT Hub documentation, "Control access to IoT Hub")."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import generate_key
from local_hub.auth.permissions import DEFAULT_RIGHTS, Permission
from local_hub.home import OWNER
from local_hub.json_text import dump, load
from transport.store import Store

__all__ = ["Policies", "Policy"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A name, its rights and its two keys."""

    name: str
    rights: Permission
    primary_key: str = field(repr=False)
    secondary_key: str = field(repr=False)

    @property
    def keys(self) -> tuple[str, str]:
        return self.primary_key, self.secondary_key


class Policies:
    """The hub's policies; ``load`` first, which makes keys in a new hub and keeps them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._policies: dict[str, Policy] = {}

    async def load(self) -> None:
        """Read the policies, or make the default ones."""
        keys = await self._store.write(_load_or_create)
        self._policies = {
            name: Policy(name=name, rights=rights, primary_key=keys[name][0], secondary_key=keys[name][1])
            for name, rights in DEFAULT_RIGHTS.items()
        }

    def get(self, name: str) -> Policy:
        """HubError IotHubUnauthorizedAccess when there is no such policy."""
        try:
            return self._policies[name]
        except KeyError:
            raise _unknown(name) from None

    def connection_string(self, host: str, name: str = OWNER) -> str:
        """The service connection string of a policy; ``host`` may carry a port."""
        text = ConnectionString(
            host_name=host, shared_access_key_name=name, shared_access_key=self.get(name).primary_key
        )
        return str(text)

    def eventhub_connection_string(self, endpoint: str, name: str, entity: str) -> str:
        """The connection string of the built-in endpoint as an Event Hub; ``endpoint`` may carry a port."""
        fields = {
            "Endpoint": f"sb://{endpoint}/",
            "SharedAccessKeyName": name,
            "SharedAccessKey": self.get(name).primary_key,
            "EntityPath": entity,
        }
        return ";".join(f"{field}={value}" for field, value in fields.items())


def _unknown(name: str) -> HubError:
    return hub_error("IotHubUnauthorizedAccess", f"There is no shared access policy {name[:64]!r}.")


def _load_or_create(connection: sqlite3.Connection) -> dict[str, list[str]]:
    row = connection.execute("SELECT value FROM settings WHERE name = 'policies'").fetchone()
    keys: dict[str, list[str]] = load(row[0]) if row else {}
    if not row:
        keys = {name: [generate_key(), generate_key()] for name in DEFAULT_RIGHTS}
        connection.execute("INSERT INTO settings VALUES ('policies', ?)", (dump(keys),))
    return keys
