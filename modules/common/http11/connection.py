"""One connection: states of a request on the wire, and the buffers its bytes are received into.

HEAD      bytes gather in the head buffer until the empty line
BODY      bytes are received straight into the body, which has the length that the head announced
CHUNKS    bytes pass through the head buffer into a ChunkedBody
ANSWERING the application works; what the client sends ahead waits in the head buffer
LINGERING the last answer is sent; what still comes is thrown away, so that the client can read that answer
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol, cast

import structlog

from modules.common.http11.head import ChunkedBody, Head, HttpError, parse_head
from modules.common.http11.messages import Body, Request, Response, encode_response

if TYPE_CHECKING:
    from modules.common.http11.server import HttpServer

__all__ = ["Application", "Connection", "State"]

HEAD_BUFFER = 32 * 1024
"""Bytes of a head at most (most servers allow 8 to 64 KiB), and of small bodies read in one go with their head."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
log = structlog.get_logger("http")


class Application(Protocol):
    """What answers requests. Called on the event loop."""

    def admit(self, head: Head) -> int:
        """The bytes that the body may have; raises HttpError to refuse a request before its body is read."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer, now or later; may raise HttpError."""

    def refused(self, error: HttpError, head: Head | None) -> Response:
        """The answer to a request that was refused; `head` is None when it could not be read."""


class State(Enum):
    """Where a connection stands; see the module's text."""

    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    ANSWERING = auto()
    LINGERING = auto()


class Connection(asyncio.BufferedProtocol):
    """Made by HttpServer for each connection."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._app = server.app
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(HEAD_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = 0  # of what is not used yet in the head buffer
        self._end = 0
        self._head: Head | None = None
        self._body: bytearray = bytearray()
        self._filled = 0
        self._chunks: ChunkedBody | None = None
        self._limit = 0
        self._task: asyncio.Task[None] | None = None
        self._reserved = 0  # bytes of the body, as told to the server
        self._reading = True
        self._writable = True
        self._ended = False  # the client sends nothing more
        self.state = State.HEAD
        self.moved_at = 0.0
        """Monotonic time of the last progress."""

    @property
    def idle(self) -> bool:
        """True between two requests."""
        return self.state is State.HEAD and self._start == self._end

    def close(self) -> None:
        """Close once what is written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; an answer under way is not sent."""
        if self._transport is not None:
            self._transport.abort()

    def timed_out(self) -> None:
        """The request under way came too slowly."""
        self._refuse(HttpError(408, "the request did not come in time"))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.moved_at = time.monotonic()
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.state is not State.ANSWERING:  # else the application still has the body
            self._release_body()
        self._server.closed(self)

    def eof_received(self) -> bool:
        self._ended = True
        return self.state is State.ANSWERING  # an answer under way is still sent

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._proceed()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self.state is State.BODY:
            return memoryview(self._body)[self._filled :]
        if self.state is State.LINGERING:
            self._start = self._end = 0
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self.state is State.LINGERING:
            return
        self.moved_at = time.monotonic()
        if self.state is State.BODY:
            self._filled += nbytes
            if self._filled == len(self._body):
                self._dispatch(self._body)
        else:
            self._end += nbytes
            self._proceed()

    # From bytes to requests

    def _proceed(self) -> None:
        """Go on with what is in the head buffer as far as it reaches."""
        try:
            while self._writable and self._transport is not None and self._advance():
                pass
        except HttpError as error:
            self._refuse(error)
        self._make_room()

    def _advance(self) -> bool:
        """One step; False when there is nothing more to do until bytes or an answer come."""
        if self.state is State.HEAD and self._start < self._end:
            return self._take_head()
        if self.state is State.CHUNKS and self._start < self._end:
            return self._take_chunks()
        return False

    def _take_head(self) -> bool:
        if self._buffer.startswith(b"\r\n", self._start, self._end):
            self._start += 2  # an empty line before a request is let pass (RFC 9112, section 2.2)
            return True
        end = self._buffer.find(b"\r\n\r\n", self._start, self._end)
        if end < 0:
            if self._end - self._start == HEAD_BUFFER:
                raise HttpError(431, f"the head of the request is longer than {HEAD_BUFFER} bytes")
            return False
        head = self._head = parse_head(bytes(self._view[self._start : end]))
        self._start = end + 4
        try:
            self._limit = self._app.admit(head)
        except HttpError as error:
            if head.length != 0:
                raise
            self._respond(self._app.refused(error, head))  # no body follows, so the connection can go on
            return True
        if head.length is None:
            self._chunks = ChunkedBody(self._limit)
            self.state = State.CHUNKS
        elif head.length > self._limit:
            raise HttpError(413, f"the body is too large: send at most {self._limit} bytes")
        else:
            self._begin_body(head.length)
        if self.state is not State.ANSWERING and head.expects_continue:
            self._write(CONTINUE)
        return True

    def _begin_body(self, length: int) -> None:
        here = min(length, self._end - self._start)
        if here == length:
            body = bytes(self._view[self._start : self._start + length])
            self._start += length
            self._dispatch(body)
            return
        self._reserve(length)
        self._body = self._server.buffers.take(length)
        self._body[:here] = self._view[self._start : self._start + here]
        self._filled, self._start = here, self._start + here
        self.state = State.BODY

    def _take_chunks(self) -> bool:
        assert self._chunks is not None
        rest = self._chunks.feed(bytes(self._view[self._start : self._end]))
        self._start = self._end
        self._reserve(len(self._chunks.body))
        if rest is None:
            return False
        self._view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)
        body, self._chunks = self._chunks.body, None
        self._dispatch(body)
        return True

    def _make_room(self) -> None:
        """Move what is left to the front of the head buffer; stop reading when it is full."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == HEAD_BUFFER and self._start > 0:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        self._read(self._end < HEAD_BUFFER)

    def _read(self, wanted: bool) -> None:
        if wanted is self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # From requests to answers

    def _dispatch(self, body: Body) -> None:
        """Hand the request over; an answer that is there at once is written at once."""
        head = self._head
        assert head is not None
        self.state = State.ANSWERING
        request = Request(method=head.method, path=head.path, query=head.query, headers=head.headers, body=body)
        try:
            answer = self._app.handle(request)
        except HttpError as error:
            answer = self._app.refused(error, head)
        except Exception:
            answer = self._failed(head)
        if isinstance(answer, Response):
            self._respond(answer)
        else:
            self._task = asyncio.ensure_future(self._respond_later(answer, head))

    async def _respond_later(self, answer: Awaitable[Response], head: Head) -> None:
        try:
            response = await answer
        except HttpError as error:
            response = self._app.refused(error, head)
        except Exception:
            response = self._failed(head)
        self._task = None
        self._respond(response)
        self._proceed()

    def _failed(self, head: Head) -> Response:
        log.exception("request failed", method=head.method, path=head.path)
        return self._app.refused(HttpError(500, "an unexpected error: the log of the server says more"), head)

    def _respond(self, response: Response) -> None:
        head = self._head
        assert head is not None
        self._server.buffers.give_back(self._body)
        self._release_body()
        keep_alive = head.keep_alive and not self._server.stopping and not self._ended
        self._send(response, keep_alive=keep_alive, with_body=head.method != "HEAD")
        if keep_alive:
            self.state, self._head = State.HEAD, None
        else:
            self._linger()

    def _refuse(self, error: HttpError) -> None:
        """Answer a request whose bytes cannot be told from what follows, and end the connection."""
        self._release_body()
        with_body = self._head is None or self._head.method != "HEAD"
        self._send(self._app.refused(error, self._head), keep_alive=False, with_body=with_body)
        self._linger()

    def _send(self, response: Response, *, keep_alive: bool, with_body: bool) -> None:
        self.moved_at = time.monotonic()
        self._write(encode_response(response, keep_alive=keep_alive, now=int(time.time()), with_body=with_body))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _linger(self) -> None:
        self.state = State.LINGERING
        self._start = self._end = 0
        if self._transport is not None and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._read(True)

    def _reserve(self, total: int) -> None:
        self._server.reserve(total - self._reserved)
        self._reserved = total

    def _release_body(self) -> None:
        self._server.release(self._reserved)
        self._reserved, self._body, self._chunks = 0, bytearray(), None
