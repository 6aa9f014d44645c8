"""The user name of an MQTT CONNECT to IoT Hub: who connects, with which API version and model.

Source: IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from iot_core.errors import IdentityError, MessageError
from iot_core.identity import Identity

__all__ = ["ConnectInfo", "parse_username", "username"]

MAX_USERNAME_LENGTH = 4_096
"""Characters; host, ids of 128, client type and model id stay far below."""
DEFAULT_API_VERSION = "2021-04-12"

_QUERY_KEYS = "api-version|DeviceClientType|model-id|auth-chain|ClientVersion"
_QUERY_PART = re.compile(rf"\?|(?:{_QUERY_KEYS})=", re.IGNORECASE)
_QUERY_IN_ID = re.compile(rf"\?(?=(?:{_QUERY_KEYS})(?:=|$))", re.IGNORECASE)
_API_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ConnectInfo:
    """What an MQTT user name says; `api_version` is None when the client did not give one."""

    host: str
    identity: Identity
    api_version: str | None = None
    model_id: str | None = None
    client_type: str | None = None
    auth_chain: str | None = None


def username(host: str, identity: Identity, *, client_type: str = "", model_id: str = "") -> str:
    """The MQTT user name of a client."""
    query = f"api-version={DEFAULT_API_VERSION}"
    if client_type:
        query += f"&DeviceClientType={quote(client_type, safe='')}"
    if model_id:
        query += f"&model-id={quote(model_id, safe='')}"
    return f"{host}/{identity.path}/?{query}"


def parse_username(text: str) -> ConnectInfo:
    """Reads "host/device[/module]/?api-version=…&DeviceClientType=…&model-id=…".

    The variants in the field are read too: no "?", no slash before the "?", no query at all. Ids are not
    percent-encoded, values of the query are. Raises MessageError.
    """
    if len(text) > MAX_USERNAME_LENGTH:
        raise MessageError(f"the MQTT user name is longer than {MAX_USERNAME_LENGTH} characters")
    ids, query = _split_username(text)
    values = {key.lower(): unquote(value) for key, value in _pairs(query)}
    api_version = values.get("api-version") or None
    if api_version is not None and _API_VERSION.fullmatch(api_version) is None:
        raise MessageError(f"api-version {api_version[:40]!r} is not a date such as {DEFAULT_API_VERSION}")
    if len(ids) not in (2, 3) or not ids[0]:
        raise MessageError(f"MQTT user name {text[:200]!r} is not 'host/device[/module]/?api-version=…'")
    return ConnectInfo(
        host=ids[0],
        identity=_identity(ids[1:]),
        api_version=api_version,
        model_id=values.get("model-id") or None,
        client_type=values.get("deviceclienttype") or None,
        auth_chain=values.get("auth-chain") or None,
    )


def _split_username(text: str) -> tuple[list[str], str]:
    parts = text.split("/")
    for index, part in enumerate(parts[1:], start=1):
        if index > 1 and _QUERY_PART.match(part):
            return parts[:index], "/".join(parts[index:]).removeprefix("?")
        glued = _QUERY_IN_ID.search(part)
        if glued is not None:
            query = "/".join([part[glued.end() :], *parts[index + 1 :]])
            return [*parts[:index], part[: glued.start()]], query
    return parts[:-1] if parts[-1] == "" else parts, ""


def _identity(ids: list[str]) -> Identity:
    try:
        return Identity(*ids)
    except IdentityError as error:
        raise MessageError(str(error)) from None


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (part.partition("=") for part in text.split("&")) if key]
