"""Lines of ``devices.txt`` and ``configurations.txt``: what the hub writes, and how it reads them (IoT Hub
documentation, "Import and export IoT Hub device identities in bulk").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.documents import identity_etag, twin_etag
from local_hub.registry.bulk import MODES
from local_hub.rows import Record

__all__ = [
    "WITHOUT_KEYS",
    "configuration_line",
    "configuration_of",
    "device_line",
    "error_line",
    "identity_of",
    "item_of",
]

WITHOUT_KEYS = b"# Keys are left out of this file (excludeKeysInExport): importing it would give every device new ones."
"""The first line of an export without keys; what is not JSON cannot be imported by mistake."""

_STATUSES = ("enabled", "disabled")
_LONGEST_QUOTE = 300
_DEFAULT_MODE = "createOrUpdate"
_CONFIGURATION_MODE = "createorupdateifmatchetag"
_KEEP_CASE = frozenset({"labels", "deviceContent", "modulesContent", "moduleContent", "queries", "results"})
"""Members whose own members are names that users chose."""


def device_line(record: Record, *, keys: bool) -> JsonObject:
    """An ExportImportDevice."""
    twin = {
        "twinETag": twin_etag(record.twin_etag),
        "tags": record.tags,
        "properties": {"desired": record.desired.view(), "reported": record.reported.view()},
    }
    authentication = record.authentication if keys else _without_keys(record.authentication)
    start = {"id": record.identity.device_id}
    if record.identity.module_id:
        module = {"moduleId": record.identity.module_id, "managedBy": record.managed_by}
        own = {"status": record.status, "authentication": authentication}
        return {**start, **module, "eTag": identity_etag(record.etag), **own, **twin}
    return {
        **start,
        "eTag": identity_etag(record.etag),
        "status": record.status,
        "statusReason": record.status_reason,
        "authentication": authentication,
        **twin,
        "capabilities": {"iotEdge": record.iot_edge},
        "deviceScope": record.device_scope,
        **({"parentScopes": list(record.parent_scopes)} if record.parent_scopes else {}),
    }


def item_of(line: bytes) -> JsonObject:
    """The ExportImportDevice of a line, its importMode and status as the registry spells them.

    HubError DeserializationError when it is none: every line needs an id and a status, those of deletions too.
    """
    item = _object(line, "device")
    mode = MODES.get(str(item.get("importMode") or _DEFAULT_MODE).lower())
    status = str(item.get("status") or "").lower()
    if not isinstance(item.get("id"), str) or mode is None or status not in _STATUSES:
        raise _bad_line(line, "device", "id, status and a known importMode are needed")
    return {**item, "importMode": mode, "status": status}


def identity_of(item: JsonObject) -> Identity:
    """HubError ArgumentInvalid."""
    module_id = item.get("moduleId") or None
    try:
        return Identity(item["id"], module_id if module_id is None else str(module_id))
    except IdentityError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error


def configuration_line(document: JsonObject) -> JsonObject:
    """A configuration as the REST API prints it, with its members in Pascal case."""
    renamed = {name: value for name, value in document.items() if name != "etag"}
    return {**_renamed(renamed, lambda name: name[:1].upper() + name[1:]), "ETag": document["etag"]}


def configuration_of(line: bytes) -> tuple[JsonObject, str | None]:
    """The configuration of a line, its members in camel case, and its etag; HubError DeserializationError."""
    item = _renamed(_object(line, "configuration"), lambda name: name[:1].lower() + name[1:])
    mode = str(item.pop("importMode", None) or _CONFIGURATION_MODE).lower()
    etag = item.pop("eTag", None) or item.pop("etag", None)
    if not isinstance(item.get("id"), str) or mode != _CONFIGURATION_MODE:
        raise _bad_line(line, "configuration", "an id is needed, and importMode createOrUpdateIfMatchETag")
    return item, etag if isinstance(etag, str) else None


def error_line(error: HubError, about: Mapping[str, Any]) -> JsonObject:
    """A line of ``importErrors.log``; ``about`` names what it is on, empty where that could not be read."""
    return {**about, "errorCode": error.code, "errorStatus": error.message}


def _object(line: bytes, what: str) -> JsonObject:
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _bad_line(line, what, str(error)) from None
    if not isinstance(item, dict):
        raise _bad_line(line, what, "it is no JSON object")
    return item


def _bad_line(line: bytes, what: str, why: str) -> HubError:
    text = line[:_LONGEST_QUOTE].decode("utf-8", "replace")
    return hub_error("DeserializationError", f"Invalid {what} format in line: {text}. {why}.")


def _without_keys(authentication: JsonObject) -> JsonObject:
    if not authentication.get("symmetricKey"):
        return authentication
    return {**authentication, "symmetricKey": {"primaryKey": None, "secondaryKey": None}}


def _renamed(value: Any, rename: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        rename(name): item if _camel(name) in _KEEP_CASE else _renamed(item, rename) for name, item in value.items()
    }


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]
