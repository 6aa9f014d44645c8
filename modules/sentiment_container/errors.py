"""Refusals in the shape of Text Analytics v2: {"code", "message", "innerError": {"code", "message"}}."""

from __future__ import annotations

from typing import Any

from iot_core.errors import EdgeyardError

__all__ = ["RequestError"]


class RequestError(EdgeyardError):
    """A request that is refused as a whole: HTTP `status`, outer and inner code, message."""

    def __init__(self, inner: str, message: str, *, code: str = "BadRequest", status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.inner = inner

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        message = "Invalid request" if self.status < 500 else str(self)
        return {"code": self.code, "message": message, "innerError": {"code": self.inner, "message": str(self)}}
