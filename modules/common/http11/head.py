"""The head of a request: bytes → Head, strictly; and bodies in chunks. No I/O.

Where RFC 9112 leaves a choice between repairing and refusing, this refuses: a proxy in front may repair differently,
and two readings of one request are how requests are smuggled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from iot_core.errors import EdgeyardError

__all__ = ["ChunkedBody", "Head", "HttpError", "parse_head"]

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]{1,8190}) HTTP/(\d)\.(\d)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\x20-\x7e\t]*)?")
SINGLE = frozenset({"content-length", "content-type", "host", "transfer-encoding", "authorization"})
"""Fields that mean something here and must not come twice."""
CACHED_HEAD = 1024  # bytes; a client that keeps its connection sends the same few hundred bytes again and again
LONGEST_CHUNK_LINE = 1024  # bytes, with extensions, which nobody uses


class HttpError(EdgeyardError):
    """A request that is refused: the HTTP status and a text for a person."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What stands before a body. `length` is None for a body in chunks."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def parse_head(data: bytes) -> Head:
    """The head in `data`, which ends before the empty line; HttpError 400, 501 or 505."""
    return _cached(data) if len(data) <= CACHED_HEAD else _parse(data)


def _parse(data: bytes) -> Head:
    first, *lines = data.split(b"\r\n")
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HttpError(400, "the request line is not METHOD TARGET HTTP/1.1")
    if match[3] != b"1":
        raise HttpError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    headers = _fields(lines)
    current = match[4] != b"0"
    if current and "host" not in headers:
        raise HttpError(400, "the header Host is missing")
    path, query = _target(match[2].decode("ascii"))
    connection = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return Head(
        method=match[1].decode("ascii"),
        path=path,
        query=query,
        headers=MappingProxyType(headers),
        length=_length(headers),
        keep_alive="close" not in connection and (current or "keep-alive" in connection),
        expects_continue=current and headers.get("expect", "").lower() == "100-continue",
    )


_cached = lru_cache(maxsize=128)(_parse)


def _fields(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            raise HttpError(400, "a header line is not NAME: VALUE")
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1").strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in SINGLE:
            raise HttpError(400, f"the header {name} comes twice")
        else:
            headers[name] += f", {value}"
    return headers


def _target(target: str) -> tuple[str, str]:
    """Path and query; of an absolute URL, which clients send to proxies, what follows the authority."""
    if target.startswith("/") or target == "*":
        path, _, query = target.partition("?")
        return path, query
    match = re.fullmatch(r"https?://[^/?#]+(/[^?]*)?(?:\?(.*))?", target, re.IGNORECASE)
    if match is None:
        raise HttpError(400, "the target of the request is no path")
    return match[1] or "/", match[2] or ""


def _length(headers: dict[str, str]) -> int | None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise HttpError(400, "Content-Length and Transfer-Encoding exclude each other")
        if coding.lower() != "chunked":
            raise HttpError(501, "the only Transfer-Encoding taken is chunked")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise HttpError(400, "Content-Length is no number of bytes")
    return int(length)


class ChunkedBody:
    """Collects a body that comes in chunks (RFC 9112, section 7.1); at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._body = bytearray()
        self._left = 0
        """Bytes of the chunk under way that are still to come, with the line end after it; 0 between chunks."""
        self._trailer = False

    @property
    def body(self) -> bytearray:
        return self._body

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None until the body is whole, then what followed it. HttpError 400 or 413."""
        self._pending += data
        while self._step():
            if self._trailer and self._left < 0:
                return bytes(self._pending)
        return None

    def _step(self) -> bool:
        """Consume what is there of one part; False when more bytes are needed."""
        if self._left > 0:
            return self._take_data()
        end = self._pending.find(b"\r\n")
        if end < 0:
            if len(self._pending) > LONGEST_CHUNK_LINE:
                raise HttpError(400, "a chunk begins with no size")
            return False
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        if self._trailer:
            self._left = 0 if line else -1
        else:
            self._begin(line)
        return True

    def _begin(self, line: bytes) -> None:
        match = CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise HttpError(400, "a chunk begins with no size")
        size = int(match[1], 16)
        if len(self._body) + size > self._limit:
            raise HttpError(413, f"the body is too large: send at most {self._limit} bytes")
        self._trailer = size == 0
        self._left = size + 2 if size else 0

    def _take_data(self) -> bool:
        data = max(0, min(self._left - 2, len(self._pending)))
        self._body += self._pending[:data]
        del self._pending[:data]
        self._left -= data
        if self._left > 2 or len(self._pending) < 2:
            return False
        if self._pending[:2] != b"\r\n":
            raise HttpError(400, "a chunk is longer than its size")
        del self._pending[:2]
        self._left = 0
        return True
