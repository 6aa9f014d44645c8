"""The admin door: the hub's own events and state, on loopback only, for who holds the token in the data folder.

IoT Hub has no such door, so operators' tools never use it; ``edgeyard hub trace`` and ``edgeyard hub status`` do.

=========== =====================================================================================================
GET /events  the event stream as newline-delimited JSON, from now on; ``?device=ID`` keeps one device's events
GET /status  ``{"pid", "host", "mqttPort", "httpPort", "connectedDeviceCount", "totalDeviceCount", …}``
POST /c2d    sends a cloud-to-device message; see ``admin_c2d``
POST /stop   202, then the hub stops as on SIGTERM
=========== =====================================================================================================

GET /authorities lists the trusted certificate authorities, POST /authorities trusts those in its body (PEM or DER),
DELETE /authorities?thumbprint=SHA256 trusts one no longer; all three print authorities as ``Authority.document``.
``admin_events`` has what lies under /eventhub and /routing, ``admin_files`` what lies under /files, ``admin_controls``
the clock, faults, the log, snapshots and reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from iot_core.errors import HubError, InputError, StoreError
from local_hub.auth.authorities import Authority
from local_hub.fronts.admin_c2d import post_c2d
from local_hub.fronts.admin_controls import Controls, control_routes
from local_hub.fronts.admin_events import event_routes, partition_events
from local_hub.fronts.admin_files import get_file_notifications
from local_hub.hub import Hub
from transport.private_files import write_private

__all__ = ["AdminFront", "new_token"]

_TOKEN_BYTES = 32
_CLOSE_S = 1.0
"""How long a request may go on when the front stops; streams are told to end before."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def new_token(path: Path) -> str:
    """A fresh random token, written to ``path`` for the owner alone; older ones stop working."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    write_private(path, token.encode("ascii"), durable=False)
    return token


class AdminFront:
    """Serves the door, as long as a hub is attached; ``request_stop`` is called by POST /stop."""

    _hub: Hub
    _status: Callable[[], dict[str, Any]]

    def __init__(self, token: str, *, request_stop: Callable[[], None]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._request_stop = request_stop
        self._routes: dict[tuple[str, str], _Handler] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._server = web.Server(self._answer, access_log=None, handler_cancellation=True)

    def attach(self, hub: Hub, controls: Controls, status: Callable[[], dict[str, Any]]) -> None:
        """Open the door to a hub; ``status`` gives what GET /status prints."""
        self._hub = hub
        self._status = status
        self._routes = {
            ("GET", "/events"): self._get_events,
            ("GET", "/status"): self._get_status,
            ("POST", "/stop"): self._post_stop,
            ("POST", "/c2d"): partial(post_c2d, hub),
            ("GET", "/authorities"): self._get_authorities,
            ("POST", "/authorities"): self._post_authorities,
            ("DELETE", "/authorities"): self._delete_authority,
            ("GET", "/files/notifications"): partial(get_file_notifications, hub),
            **event_routes(hub),
            **control_routes(hub, controls),
        }

    async def detach(self) -> None:
        """The hub stops: streams end, and until another is attached requests are told to come again."""
        self._routes = {}
        for stream in list(self._streams):
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        return self._server()

    async def stop(self) -> None:
        """End every stream and connection."""
        await self.detach()
        self._server.pre_shutdown()
        await self._server.shutdown(_CLOSE_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._allowed(request):
            return _text(401, "The admin door needs 'Authorization: Bearer TOKEN'; the token is in hub/admin.token.")
        if not self._routes:
            return _text(503, "The hub exchanges its data; ask again in a moment.")
        handler = self._routes.get((request.method, request.path)) or partition_events(self._hub, request)
        if handler is None:
            return _text(404, f"The admin door has {', '.join(f'{verb} {path}' for verb, path in self._routes)}.")
        try:
            return await handler(request)
        except HubError as error:
            return _text(error.status, error.message)
        except StoreError as error:
            return _text(500, str(error))
        except InputError as error:
            return _text(400, str(error))

    def _allowed(self, request: web.BaseRequest) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._expected)

    async def _get_status(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=orjson.dumps(self._status()), content_type="application/json")

    async def _post_stop(self, _request: web.BaseRequest) -> web.StreamResponse:
        self._request_stop()
        return web.Response(status=202)

    async def _get_authorities(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _authorities(self._hub.authorities.list())

    async def _post_authorities(self, request: web.BaseRequest) -> web.StreamResponse:
        return _authorities(await self._hub.authorities.trust(await request.read()))

    async def _delete_authority(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._hub.authorities.remove(request.query.get("thumbprint", ""))
        return _authorities(self._hub.authorities.list())

    async def _get_events(self, request: web.BaseRequest) -> web.StreamResponse:
        """Stream until the client or the hub goes; what happens once the headers have left is in it."""
        events = self._hub.events.subscribe()
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        await response.prepare(request)
        stream = asyncio.create_task(_copy(events, response, request.query.get("device")))
        self._streams.add(stream)
        try:
            await stream
        except asyncio.CancelledError:
            if not stream.cancelled():
                stream.cancel()
                raise
        finally:
            self._streams.discard(stream)
        return response


async def _copy(events: AsyncIterator[dict[str, Any]], response: web.StreamResponse, device: str | None) -> None:
    with contextlib.suppress(ConnectionError):
        async for event in events:
            if device is None or event.get("deviceId", device) == device:
                await response.write(orjson.dumps(event) + b"\n")


def _authorities(authorities: Iterable[Authority]) -> web.Response:
    body = orjson.dumps([authority.document for authority in authorities])
    return web.Response(body=body, content_type="application/json")


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
