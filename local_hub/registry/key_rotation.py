"""New symmetric keys for many identities at once: POST /devices/keys/regenerate.

The service does not document the route; its shapes are those that the Azure CLI sends and reads
(``az iot hub device-identity renew-key``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from iot_core import limits
from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity, generate_key
from iot_core.json_types import JsonObject
from local_hub.rows import load_record, update
from transport.store import Store

__all__ = ["rotate"]

_Pair = tuple[str | None, str | None]
_ROTATIONS: dict[str, Callable[[_Pair], _Pair]] = {
    "primary": lambda keys: (generate_key(), keys[1]),
    "secondary": lambda keys: (keys[0], generate_key()),
    "both": lambda _keys: (generate_key(), generate_key()),
    "swap": lambda keys: (keys[1], keys[0]),
}


async def rotate(store: Store, body: JsonObject) -> JsonObject:
    """``{"policyKey", "rotatedKeys", "errors"}`` for ``{"policyKey": "primaryKey", "devices": [{"id", "moduleId"?}]}``.

    One commit for all; what cannot be rotated is listed among the errors. HubError ArgumentInvalid, TooManyDevices.
    """
    rotation = _ROTATIONS.get(str(body.get("policyKey")).lower().removesuffix("key"))
    devices = body.get("devices")
    if rotation is None or not isinstance(devices, list):
        raise hub_error("ArgumentInvalid", f"policyKey must be one of {', '.join(_ROTATIONS)}, devices an array.")
    if len(devices) > limits.BULK_DEVICES_MAX:
        raise hub_error("TooManyDevices", f"A call may name {limits.BULK_DEVICES_MAX} devices, not {len(devices)}.")
    identities = [_identity(item) for item in devices]

    def work(connection: sqlite3.Connection) -> tuple[list[JsonObject], list[JsonObject]]:
        rotated, errors = [], []
        for identity in identities:
            try:
                rotated.append(_rotated(connection, identity, rotation))
            except HubError as error:
                named = {"deviceId": identity.device_id, "moduleId": identity.module_id}
                errors.append({**named, "errorCode": error.name, "errorStatus": error.message})
        return rotated, errors

    rotated, errors = await store.write(work)
    return {"policyKey": body["policyKey"], "rotatedKeys": rotated, "errors": errors}


def _rotated(connection: sqlite3.Connection, identity: Identity, rotation: Callable[[_Pair], _Pair]) -> JsonObject:
    """Write new keys and give them; HubError when the identity is missing or has none."""
    record = load_record(connection, identity)
    if record is None:
        name = "ModuleNotFound" if identity.module_id else "DeviceNotFound"
        raise hub_error(name, f"{identity} is not registered.")
    if record.authentication["type"] != "sas":
        raise hub_error("ArgumentInvalid", f"{identity} has no symmetric keys: it logs in by another way.")
    keys = record.authentication["symmetricKey"]
    primary, secondary = rotation((keys["primaryKey"], keys["secondaryKey"]))
    keys = {"primaryKey": primary, "secondaryKey": secondary}
    authentication = {**record.authentication, "symmetricKey": keys}
    update(connection, replace(record, authentication=authentication, etag=record.etag + 1))
    module = {"moduleId": identity.module_id} if identity.module_id else {}
    return {"id": identity.device_id, **module, **keys}


def _identity(item: Any) -> Identity:
    try:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            return Identity(item["id"], item.get("moduleId") or None)
    except (IdentityError, TypeError) as error:
        raise hub_error("ArgumentInvalid", str(error)) from error
    raise hub_error("ArgumentInvalid", "Each of devices must be an object with an id.")
