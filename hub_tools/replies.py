"""Answers of the IoT Hub REST API: JSON bodies, and the three shapes in which it writes errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub_tools.service import HubUnreachableError, Json, MethodResult
from iot_core.errors import HubError
from iot_core.hub_errors import ERRORS

__all__ = ["Reply", "error_of", "method_body"]

ERROR_CODE_HEADER = "iothub-errorcode"
_PREFIX = re.compile(r"ErrorCode:\s*(?P<name>\w+)\s*;?\s*(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One HTTP answer: status, headers (as sent) and the raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def object(self) -> Json:
        """The body as a JSON object; `HubUnreachableError` when it is none (a proxy's page, say)."""
        value = self._json()
        if not isinstance(value, dict):
            raise HubUnreachableError(f"The hub's answer (HTTP {self.status}) is not a JSON object.")
        return value

    def array(self) -> list[Json]:
        """The body as a JSON array of objects; `HubUnreachableError` when it is none."""
        value = self._json()
        if not isinstance(value, list):
            raise HubUnreachableError(f"The hub's answer (HTTP {self.status}) is not a JSON array.")
        return value

    def method_result(self) -> MethodResult:
        """The body as a device's answer to a direct method."""
        answer = self.object()
        return MethodResult(status=int(answer.get("status", 0)), payload=answer.get("payload"))

    def header(self, name: str) -> str | None:
        """A header's value whatever its case."""
        return next((value for key, value in self.headers.items() if key.lower() == name), None)

    def _json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def method_body(name: str, payload: Any, response_timeout_s: int, connect_timeout_s: int) -> Json:
    """The body that calls a direct method."""
    return {
        "methodName": name,
        "payload": payload,
        "responseTimeoutInSeconds": response_timeout_s,
        "connectTimeoutInSeconds": connect_timeout_s,
    }


def error_of(reply: Reply) -> HubError:
    """The `HubError` that a refusal stands for, whichever of the three body shapes it has.

    Shapes: `{"Message": "ErrorCode:NAME;text"}`, `{"errorCode": n, "message": text}`, and the second one as a string
    in the first one's Message. The header iothub-errorcode names the error in all of them.
    """
    name, text = _read_body(reply)
    name = reply.header(ERROR_CODE_HEADER) or name or f"Http{reply.status}"
    code, _ = ERRORS.get(name, (reply.status * 1000, reply.status))
    return HubError(code=code, name=name, status=reply.status, message=text or f"HTTP {reply.status}")


def _read_body(reply: Reply) -> tuple[str | None, str]:
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None, reply.body[:200].decode("utf-8", "replace").strip()
    if not isinstance(body, dict):
        return None, ""
    return _from_object(body)


def _from_object(body: Json) -> tuple[str | None, str]:
    if "errorCode" in body or "message" in body:
        return _name_of(body.get("errorCode")), str(body.get("message") or "")
    message = str(body.get("Message") or "")
    try:
        inner = json.loads(message)
    except ValueError:
        inner = None
    if isinstance(inner, dict):
        return _from_object(inner)
    match = _PREFIX.match(message)
    return (match["name"], match["text"].strip()) if match else (None, message)


def _name_of(code: object) -> str | None:
    return next((name for name, (number, _) in ERRORS.items() if number == code), None)
