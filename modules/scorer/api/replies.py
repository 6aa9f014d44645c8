"""Answers: JSON, errors in the two shapes that clients know, and Azure ML's headers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import orjson

from modules.common.http11 import HttpError, Response

__all__ = ["error_reply", "json_reply", "request_ids"]

LONGEST_ID = 100  # characters; as azureml-inference-server-http


def json_reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON; numpy arrays become nested arrays."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(status=status, body=body, headers=dict(headers or {}))


def error_reply(error: HttpError, path: str) -> Response:
    """{"error": text} as the V2 protocol has it; elsewhere "message" too, which is what Azure ML's server sends (and
    its scoring scripts "error")."""
    text = str(error)
    content = {"error": text} if path.startswith("/v2") else {"message": text, "error": text}
    return json_reply(content, error.status, error.headers)


def request_ids(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by which a request can be followed, with a new x-request-id when the client sent none; HttpError 431
    for one that is too long. The rules are those of azureml-inference-server-http: x-ms-request-id, its old name for
    the client's own id, still stands in for x-ms-client-request-id, and the other way round."""
    request, legacy, client = (headers.get(name, "") for name in ("x-request-id", "x-ms-request-id", _CLIENT))
    if max(len(request), len(legacy), len(client)) > LONGEST_ID:
        raise HttpError(431, f"x-request-id, x-ms-request-id and {_CLIENT} must not exceed {LONGEST_ID} characters")
    request = request or _new_id()
    ids = {"x-request-id": request, "x-ms-request-id": legacy or client or request}
    if client or legacy:
        ids[_CLIENT] = client or legacy
    return ids


def _new_id() -> str:
    """A UUID, version 4. It names a request and keeps no secret, so any generator will do."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


_CLIENT = "x-ms-client-request-id"
