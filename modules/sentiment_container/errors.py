"""Refusals, in the shapes of the API versions.

    v2.x       {"code", "message", "innerError": {"code", "message"}}
    v3.x, language   {"error": {"code", "message", "innererror": {"code", "message"}}}

Source: Text Analytics REST API v2.1 and v3.1 and Language API 2023-04-01, "ErrorResponse".
"""

from __future__ import annotations

from typing import Any

from iot_core.errors import EdgeyardError

__all__ = ["RequestError", "document_error_v3"]

INVALID_REQUEST = "InvalidRequest"
INVALID_ARGUMENT = "InvalidArgument"


class RequestError(EdgeyardError):
    """A request that is refused as a whole: HTTP `status`, outer (v3) and inner code, message."""

    def __init__(self, inner: str, message: str, *, code: str = INVALID_REQUEST, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.inner = inner

    def body_v2(self) -> dict[str, Any]:
        """The answer of v2.0 and v2.1, whose outer code is BadRequest."""
        code = "BadRequest" if self.code in (INVALID_REQUEST, INVALID_ARGUMENT) else self.code
        message = "Invalid request" if self.status < 500 else str(self)
        return {"code": code, "message": message, "innerError": {"code": self.inner, "message": str(self)}}

    def body_v3(self) -> dict[str, Any]:
        """The answer of v3.0, v3.1 and the Language API."""
        return {"error": _error(self.code, self.inner, str(self))}


def document_error_v3(inner: str, message: str) -> dict[str, Any]:
    """Why one document has no result, in v3.x and the Language API."""
    return _error(INVALID_ARGUMENT, inner, message)


def _error(code: str, inner: str, message: str) -> dict[str, Any]:
    outer = "Invalid Request." if code == INVALID_REQUEST else message
    return {"code": code, "message": outer, "innererror": {"code": inner, "message": message}}
