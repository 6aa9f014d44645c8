"""One REST call as the translating functions see it, and the answer they give."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from iot_core.errors import IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from local_hub.auth.authenticator import Principal
from local_hub.hub import Hub

__all__ = ["Call", "Reply", "etag_header", "identity_of"]

_ETAG = re.compile(r'(?:W/)?"(.*)"', re.DOTALL)
_JSON_TYPES = (
    "application/json",
    "application/json-patch+json",
    "text/json",
    "text/plain",
    "application/octet-stream",
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A status, a body and headers beside those every answer has.

    ``body`` is a JSON value (None: no body); ``content``, when given, is sent as it is in its place.
    """

    status: int = 200
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of ``principal`` that matched a route and was allowed.

    ``params`` are the path's ids, percent-decoded once; names in ``query`` and ``headers`` are lower case, those in
    ``header_lines`` as they came; ``chain`` holds the client's certificates (DER, its own first), judged by nobody yet.
    """

    hub: Hub
    principal: Principal
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    header_lines: Sequence[tuple[str, str]] = ()
    chain: tuple[bytes, ...] = ()
    payload: bytes

    @property
    def identity(self) -> Identity:
        """The device or module the path names; HubError ArgumentInvalid when it can be none."""
        return identity_of(self.params)

    @property
    def if_match(self) -> str | None:
        """The If-Match header: None, ``*``, or an etag; clients send each with quotes or without."""
        text = self.headers.get("if-match")
        if text is None:
            return None
        quoted = _ETAG.fullmatch(text.strip())
        return quoted[1] if quoted else text.strip()

    def json(self) -> Any:
        """The body as JSON; HubError IotHubFormatError when it is none, UnsupportedContentType when it says so."""
        kind = self.headers.get("content-type", _JSON_TYPES[0]).partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            raise hub_error("UnsupportedContentType", f"The body must be application/json, not {kind[:100]!r}.")
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError as error:
            raise hub_error("IotHubFormatError", f"The body is not valid JSON: {error}.") from error

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; HubError ArgumentInvalid when it is another kind of value."""
        value = self.json()
        if not isinstance(value, dict):
            raise hub_error("ArgumentInvalid", "The body must be a JSON object.")
        return value


def identity_of(params: Mapping[str, str]) -> Identity:
    """The device or module that a path's ids name; HubError ArgumentInvalid when they can be none."""
    try:
        return Identity(params["device"], params.get("module"))
    except IdentityError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error


def etag_header(body: Mapping[str, Any]) -> dict[str, str]:
    """The ETag header for a resource that carries its etag in the body."""
    etag = body.get("etag")
    return {"ETag": f'"{etag}"'} if etag else {}
