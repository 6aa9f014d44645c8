"""Who the provisioning service is: its ID scope and its one shared access policy, made with the hub and kept."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass, field

from iot_core.connection_string import ConnectionString
from iot_core.identity import generate_key
from local_hub.json_text import dump, load

__all__ = ["OWNER", "ServiceIdentity", "load_or_create"]

OWNER = "provisioningserviceowner"
"""The policy that every provisioning service has; it may do everything."""
_SETTING = "provisioning"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceIdentity:
    """The ID scope that devices name, and the keys that services sign with."""

    id_scope: str
    keys: tuple[str, str] = field(repr=False)

    def connection_string(self, host: str) -> str:
        """The service connection string; ``host`` may carry a port."""
        text = ConnectionString(host_name=host, shared_access_key_name=OWNER, shared_access_key=self.keys[0])
        return str(text)


def load_or_create(connection: sqlite3.Connection) -> ServiceIdentity:
    """The stored one, or a new one that is stored."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_SETTING,)).fetchone()
    if row:
        facts = load(row[0])
    else:
        facts = {"idScope": f"0ne{os.urandom(4).hex().upper()}", "keys": [generate_key(), generate_key()]}
        connection.execute("INSERT INTO settings VALUES (?, ?)", (_SETTING, dump(facts)))
    return ServiceIdentity(id_scope=facts["idScope"], keys=(facts["keys"][0], facts["keys"][1]))
