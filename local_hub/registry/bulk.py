"""Bulk changes: up to 100 identities or twins in one call, each on its own (REST reference, "Bulk Registry -
Update").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iot_core import limits
from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.preconditions import ANY
from local_hub.twins.twins import Twins

if TYPE_CHECKING:
    from local_hub.registry.registry import Registry

__all__ = ["MODES", "apply", "apply_item"]

_IDENTITY_FIELDS = (
    "status",
    "statusReason",
    "authentication",
    "capabilities",
    "deviceScope",
    "parentScopes",
    "managedBy",
)
MODES = {
    mode.lower(): mode
    for mode in (
        *("create", "update", "updateIfMatchETag", "delete", "deleteIfMatchETag"),
        *("updateTwin", "updateTwinIfMatchETag", "createOrUpdate", "createOrUpdateIfMatchETag"),
    )
}
"""importMode in small letters, as callers mix them → its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """What became of an item; neither when it was applied as it is."""

    error: JsonObject | None = None
    warning: JsonObject | None = None


async def apply(registry: Registry, twins: Twins, items: Sequence[Any]) -> JsonObject:
    """``{"isSuccessful", "errors", "warnings"}``: what is right is applied, what is not is listed by name.

    HubError TooManyDevices, DeviceDefinedMultipleTimes, ArgumentInvalid when the call as a whole is wrong.
    """
    identities = _checked(items)
    works = (_one(registry, twins, identity, item) for identity, item in zip(identities, items, strict=True))
    outcomes = await asyncio.gather(*works)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    warnings = [outcome.warning for outcome in outcomes if outcome.warning]
    return {"isSuccessful": not errors, "errors": errors, "warnings": warnings}


def _checked(items: Sequence[Any]) -> list[Identity]:
    if len(items) > limits.BULK_DEVICES_MAX:
        raise hub_error("TooManyDevices", f"A bulk call may hold {limits.BULK_DEVICES_MAX} devices, not {len(items)}.")
    identities = [_identity_of(item) for item in items]
    if len(set(identities)) != len(identities):
        raise hub_error("DeviceDefinedMultipleTimes", "A device or module stands in the call more than once.")
    return identities


def _identity_of(item: Any) -> Identity:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise hub_error("ArgumentInvalid", "Each item must be an object with an id.")
    module_id = item.get("moduleId") or None
    if module_id is not None and not isinstance(module_id, str):
        raise hub_error("ArgumentInvalid", "moduleId must be a text.")
    try:
        return Identity(item["id"], module_id)
    except IdentityError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error


async def _one(registry: Registry, twins: Twins, identity: Identity, item: JsonObject) -> _Outcome:
    operation = MODES.get(str(item.get("importMode") or "create").lower())
    try:
        if operation is None:
            raise hub_error("ArgumentInvalid", f"importMode {str(item.get('importMode'))[:40]!r} is not known.")
        return _Outcome(warning=await apply_item(registry, twins, identity, item, operation))
    except HubError as error:
        return _Outcome(
            error={
                "deviceId": identity.device_id,
                "moduleId": identity.module_id,
                "errorCode": error.name,
                "errorStatus": error.message,
                "operation": operation or "",
            }
        )


async def apply_item(
    registry: Registry, twins: Twins, identity: Identity, item: JsonObject, mode: str
) -> JsonObject | None:
    """Apply an item by one of ``MODES``; its warning, if any. HubError."""
    checks = mode.endswith("IfMatchETag")
    if mode.startswith("updateTwin"):
        await twins.patch(identity, _twin_of(item), _etag(item, "twinETag") if checks else ANY)
    elif mode.startswith("delete"):
        await _delete(registry, identity, _etag(item, "eTag") if checks else ANY)
    elif mode == "create":
        return await _create(registry, twins, identity, item)
    else:
        return await _update(registry, twins, identity, item, mode, _etag(item, "eTag") if checks else ANY)
    return None


async def _create(registry: Registry, twins: Twins, identity: Identity, item: JsonObject) -> JsonObject | None:
    """A new identity; a twin that cannot be written is a warning, the identity is there then."""
    if item.get("eTag"):
        raise hub_error("ArgumentInvalid", "eTag must be empty when a device is created.")
    await _put(registry, identity, item, None)
    try:
        if twin := _twin_of(item):
            await twins.patch(identity, twin, None)
    except HubError as error:
        return {
            "deviceId": identity.device_id,
            "warningCode": "DeviceRegisteredWithoutTwin",
            "warningStatus": error.message,
        }
    return None


async def _update(
    registry: Registry, twins: Twins, identity: Identity, item: JsonObject, mode: str, etag: str
) -> JsonObject | None:
    try:
        await _put(registry, identity, item, etag)
    except HubError as error:
        if not mode.startswith("createOrUpdate") or error.status != 404:
            raise
        return await _create(registry, twins, identity, {**item, "eTag": None})
    return None


async def _put(registry: Registry, identity: Identity, item: JsonObject, etag: str | None) -> None:
    body = {name: item[name] for name in _IDENTITY_FIELDS if name in item}
    if identity.module_id:
        await registry.put_module(identity, body, etag)
    else:
        await registry.put_device(identity.device_id, body, etag)


async def _delete(registry: Registry, identity: Identity, etag: str) -> None:
    if identity.module_id:
        await registry.delete_module(identity, etag)
    else:
        await registry.delete_device(identity.device_id, etag)


def _twin_of(item: JsonObject) -> JsonObject:
    """The tags and desired properties of an item, as a twin patch."""
    properties = item.get("properties")
    tags = {"tags": item["tags"]} if item.get("tags") is not None else {}
    if not isinstance(properties, dict) or properties.get("desired") is None:
        return tags
    return {**tags, "properties": {"desired": properties["desired"]}}


def _etag(item: JsonObject, name: str) -> str:
    etag = item.get(name)
    if not isinstance(etag, str) or not etag:
        raise hub_error("ArgumentInvalid", f"{name} is needed for this importMode.")
    return etag
