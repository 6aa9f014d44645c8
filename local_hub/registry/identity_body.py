"""The body of a PUT on an identity, checked and completed (IoT Hub developer guide, "Understand the identity
registry").

A PUT replaces the whole identity: what the body leaves out gets its default, and an ``authentication`` left out means
new keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from iot_core import limits
from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import generate_key, validate_key
from iot_core.json_types import JsonObject

__all__ = ["DeviceBody", "ModuleBody", "authentication_of", "no_authentication", "parse_device", "parse_module"]

_TYPES = {kind.lower(): kind for kind in ("sas", "selfSigned", "certificateAuthority", "none")}
_STATUSES = ("enabled", "disabled")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


@dataclass(frozen=True, kw_only=True)
class DeviceBody:
    """What a caller may set on a device; scopes are None where the body has none."""

    status: str
    status_reason: str | None
    authentication: JsonObject
    iot_edge: bool
    device_scope: str | None
    parent_scopes: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class ModuleBody:
    """What a caller may set on a module."""

    managed_by: str | None
    authentication: JsonObject


def parse_device(device_id: str, body: JsonObject) -> DeviceBody:
    """HubError ArgumentInvalid for a body that is not a device of that id."""
    _check_id("deviceId", device_id, body)
    status = _text(body, "status") or "enabled"
    if status.lower() not in _STATUSES:
        raise _invalid(f"status must be enabled or disabled, not {status[:40]!r}.")
    reason = _text(body, "statusReason")
    if reason and len(reason) > limits.STATUS_REASON_CHARACTERS:
        raise _invalid(f"statusReason is longer than {limits.STATUS_REASON_CHARACTERS} characters.")
    return DeviceBody(
        status=status.lower(),
        status_reason=reason,
        authentication=authentication_of(body.get("authentication"), may_be_none=False),
        iot_edge=_iot_edge(body),
        device_scope=_text(body, "deviceScope") or None,
        parent_scopes=_parent_scopes(body),
    )


def parse_module(device_id: str, module_id: str, body: JsonObject) -> ModuleBody:
    """HubError ArgumentInvalid for a body that is not a module of those ids."""
    _check_id("deviceId", device_id, body)
    _check_id("moduleId", module_id, body)
    return ModuleBody(
        managed_by=_text(body, "managedBy") or None,
        authentication=authentication_of(body.get("authentication"), may_be_none=True),
    )


def authentication_of(given: Any, *, may_be_none: bool) -> JsonObject:
    """The whole authentication block; makes two keys where sas has none. HubError ArgumentInvalid."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise _invalid("authentication must be an object.")
    keys = _object(given, "symmetricKey")
    thumbprints = _object(given, "x509Thumbprint")
    pair = (_text(keys, "primaryKey") or None, _text(keys, "secondaryKey") or None)
    prints = (_text(thumbprints, "primaryThumbprint") or None, _text(thumbprints, "secondaryThumbprint") or None)
    kind = _kind(given, has_thumbprint=any(prints), may_be_none=may_be_none)
    return _block(
        kind,
        _checked_keys(pair) if kind == "sas" else (None, None),
        _checked_thumbprints(prints) if kind == "selfSigned" else (None, None),
    )


def no_authentication() -> JsonObject:
    """The block of a module that the hub itself makes on an edge device."""
    return _block("none", (None, None), (None, None))


def _kind(given: JsonObject, *, has_thumbprint: bool, may_be_none: bool) -> str:
    named = _text(given, "type") or ("selfSigned" if has_thumbprint else "sas")
    kind = _TYPES.get(named.lower())
    if kind is None:
        raise _invalid(f"authentication type must be one of {', '.join(_TYPES.values())}, not {named[:40]!r}.")
    if kind == "none":
        if not may_be_none:
            raise _invalid("DeviceAuthenticationTypeIsMissing: a device needs an authentication type.")
        return "sas"
    return kind


def _block(kind: str, keys: tuple[str | None, str | None], prints: tuple[str | None, str | None]) -> JsonObject:
    return {
        "symmetricKey": {"primaryKey": keys[0], "secondaryKey": keys[1]},
        "x509Thumbprint": {"primaryThumbprint": prints[0], "secondaryThumbprint": prints[1]},
        "type": kind,
    }


def _checked_keys(pair: tuple[str | None, str | None]) -> tuple[str, str]:
    primary, secondary = pair
    if primary is None and secondary is None:
        return generate_key(), generate_key()
    if primary is None or secondary is None:
        raise _invalid("Either no keys or both keys can be set.")
    try:
        return validate_key(primary), validate_key(secondary)
    except IdentityError as error:
        raise _invalid(f"Invalid device key length: {error}.") from None


def _checked_thumbprints(prints: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    for text in prints:
        if text is not None and not _THUMBPRINT.fullmatch(text):
            raise _invalid("StringIsNotThumbprint: a thumbprint has 40 or 64 hexadecimal digits and nothing else.")
    return prints


def _iot_edge(body: JsonObject) -> bool:
    value = _object(body, "capabilities").get("iotEdge", False)
    if not isinstance(value, bool):
        raise _invalid("capabilities.iotEdge must be true or false.")
    return value


def _parent_scopes(body: JsonObject) -> tuple[str, ...] | None:
    given = body.get("parentScopes")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(scope, str) for scope in given):
        raise _invalid("parentScopes must be an array of texts.")
    if len(given) > 1:
        raise _invalid("parentScopes may name one parent only.")
    return tuple(given)


def _check_id(name: str, wanted: str, body: JsonObject) -> None:
    given = body.get(name, wanted)
    if given not in (wanted, None):
        raise _invalid(f"{name} in the body is not the {name} of the path.")


def _object(container: JsonObject, name: str) -> JsonObject:
    value = container.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(f"{name} must be an object.")
    return value


def _text(container: JsonObject, name: str) -> str | None:
    value = container.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name} must be a text.")
    return value


def _invalid(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)
