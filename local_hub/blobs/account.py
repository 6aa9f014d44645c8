"""The account of the built-in blob endpoint: one name, and a key that is made once and kept."""

from __future__ import annotations

import base64
import secrets
import sqlite3

from iot_core.storage.account import StorageAccount
from local_hub.json_text import dump, load
from transport.store import Store

__all__ = ["ACCOUNT_NAME", "account_at", "is_blob_path", "load_account_key"]

ACCOUNT_NAME = "edgeyard"
"""The first segment of every path of the endpoint; no path of IoT Hub begins with it."""

_KEY_BYTES = 64
"""As the keys of real accounts."""


async def load_account_key(store: Store) -> str:
    """The key, base64; made in a new hub."""
    return await store.write(_load_or_create)


def account_at(host: str, key: str) -> StorageAccount:
    """The account as it is reached by ``host`` ("localhost:8443")."""
    return StorageAccount(name=ACCOUNT_NAME, key=key, blob_endpoint=f"https://{host}/{ACCOUNT_NAME}")


def is_blob_path(raw_path: str) -> bool:
    """Whether a path, as it came on the wire, is the endpoint's and not IoT Hub's."""
    return raw_path.partition("?")[0].split("/")[1:2] == [ACCOUNT_NAME]


def _load_or_create(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM settings WHERE name = 'blob account'").fetchone()
    if row:
        return str(load(row[0]))
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")
    connection.execute("INSERT INTO settings VALUES ('blob account', ?)", (dump(key),))
    return key
