"""Requests and responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

__all__ = ["Body", "Request", "Response", "encode_response"]

Body = bytes | bytearray


@dataclass(kw_only=True, slots=True)
class Request:
    """One request. `path` is as sent, without the query; header names are in lower case; `body` belongs to the
    application until it has answered."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body


@dataclass(kw_only=True, slots=True)
class Response:
    """One response; Content-Length, Date and Connection are added."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def encode_response(response: Response, *, keep_alive: bool, now: int, with_body: bool) -> bytes:
    """The bytes of a response; `now` is unix seconds; without its body for HEAD."""
    lines = [_start(response.status, response.content_type, now)]
    for name, value in response.headers.items():
        lines.append(f"{name}: {value}\r\n")
    lines.append(f"Content-Length: {len(response.body)}\r\n")
    lines.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
    head = "".join(lines).encode("latin-1")
    return head + response.body if with_body else head


@lru_cache(maxsize=64)
def _start(status: int, content_type: str, now: int) -> str:
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nDate: {formatdate(now, usegmt=True)}\r\nContent-Type: {content_type}\r\n"
