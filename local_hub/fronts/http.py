"""The HTTPS front: the REST API of IoT Hub, translated call by call (REST reference, "IoT Hub Resource")."""

from __future__ import annotations

import asyncio
import logging
import re
import weakref
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from iot_core.dps.registration import RETRY_AFTER_S
from iot_core.errors import HubError, InputError
from iot_core.hub_errors import hub_error
from local_hub.auth.authenticator import Principal
from local_hub.auth.permissions import Permission
from local_hub.blobs.account import is_blob_path
from local_hub.controls.faults import CutError, FaultKind, LostError
from local_hub.dps.admission import kind_of
from local_hub.fronts import refusals
from local_hub.fronts.envelopes import Envelope, error_body
from local_hub.fronts.http_connection import HttpConnection
from local_hub.fronts.rest.call import Call, Reply, identity_of
from local_hub.fronts.rest.operations import operation_of
from local_hub.fronts.rest.routes import Match, Route, allowed_methods, match, segments_of
from local_hub.fronts.websocket import ProtocolFactories
from local_hub.hub import Hub

__all__ = ["MOST_BODY_BYTES", "HttpFront"]

MOST_BODY_BYTES = 8 * 1024 * 1024
"""A bulk call of 100 devices, each with tags (8 KB) and desired properties (32 KB), with room for JSON's escapes."""

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_JSON = "application/json; charset=utf-8"
_CLOSE_S = 2.0
"""How long open requests may take to end when the front stops."""
_BODY_S = 60.0
"""How long a request's body may take to arrive."""
_IDLE_S = 120.0
"""How long a connection is kept for its next request, head and all."""

_log = logging.getLogger(__name__)
# aiohttp would log a malformed request with its text, and that may hold a token.
_no_log = logging.getLogger(f"{__name__}.malformed")
_no_log.setLevel(logging.CRITICAL + 1)


class HttpFront:
    """Answers REST calls from the core; each connection's protocol comes from ``protocol()``.

    ``websockets`` are the protocols spoken over WebSocket on the same port, by subprotocol.
    """

    def __init__(self, hub: Hub, websockets: ProtocolFactories | None = None) -> None:
        self._hub = hub
        self._websockets = websockets or {}
        self._connections: weakref.WeakSet[HttpConnection] = weakref.WeakSet()
        self._server = web.Server(
            self._answer,
            request_factory=_bounded_request,
            access_log=None,
            logger=_no_log,
            keepalive_timeout=_IDLE_S,
            # A blob is kept as it comes, whatever its Content-Encoding; no REST call has one.
            auto_decompress=False,
        )

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        connection = HttpConnection(self._server, self._websockets, self._hub.clock.now)
        self._connections.add(connection)
        return connection

    async def stop(self) -> None:
        """End idle connections at once and busy ones within two seconds; WebSockets are ended by their own front."""
        for connection in list(self._connections):
            connection.end_if_silent()
        self._server.pre_shutdown()
        await self._server.shutdown(_CLOSE_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        blobs = self._hub.files.blob_endpoint if is_blob_path(request.raw_path) else None
        segments = segments_of(request.raw_path)
        found = match(request.method, segments) if blobs is None else None
        try:
            response: web.StreamResponse
            if blobs is not None:
                response = await blobs.answer(request)
            else:
                response = await self._respond(request, found, segments)
                self._lose_answer(found)
        except (LostError, CutError) as error:
            self._note(request, found, str(error))
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from error
        self._note(request, found, str(response.status))
        return response

    def _lose_answer(self, found: Match | None) -> None:
        """LostError where a fault wants that."""
        faults, params = self._hub.admission.faults, found.params if found else {}
        if faults.active and faults.strikes(FaultKind.UNANSWERED, params.get("device", params.get("registration"))):
            raise LostError("done, and the answer lost by a fault")

    def _note(self, request: web.BaseRequest, found: Match | None, result: str) -> None:
        params = found.params if found else {}
        identity = "/".join(params[name] for name in ("device", "module") if name in params)
        size = request.content_length or 0
        self._hub.traffic_log.note("HTTPS", identity, "in", f"{request.method} {request.path}", size, result)

    async def _respond(self, request: web.BaseRequest, found: Match | None, segments: tuple[str, ...]) -> web.Response:
        envelope = found.route.envelope if found else Envelope.REGISTRY
        try:
            reply = await self._handle(request, found, segments)
        except HubError as error:
            return self._refusal(error, envelope)
        except web.HTTPRequestEntityTooLarge:
            return self._refusal(refusals.too_large(MOST_BODY_BYTES), envelope)
        except web.RequestPayloadError:
            return self._refusal(hub_error("GenericBadRequest", "The body is not what its headers say."), envelope)
        except (InputError, UnicodeError) as error:
            return self._refusal(hub_error("ArgumentInvalid", str(error)), envelope)
        except (ConnectionError, LostError, CutError):
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return self._refusal(refusals.internal_error(), envelope)
        body = orjson.dumps(reply.body) if reply.body is not None else reply.content
        return _response(reply.status, body, reply.headers)

    async def _handle(self, request: web.BaseRequest, found: Match | None, segments: tuple[str, ...]) -> Reply:
        if found is None:
            raise _unmatched(request, segments)
        route = found.route
        _check_api_version(request.query.get("api-version"))
        self._check_login(found)
        principal = self._authorize(request, found, segments)
        await _invite_body(request)
        call = await _call(self._hub, request, found, principal)
        if not self._hub.admission.idle:
            await self._admit(call, route)
        return await route.handler(call)

    def _check_login(self, found: Match) -> None:
        """HubError 401 while a fault refuses log-ins; over HTTPS each request is one."""
        if found.route.envelope is Envelope.PROVISIONING:
            self._hub.provisioning.admission.check_login(found.params.get("registration"))
        else:
            self._hub.admission.check_login(found.params.get("device"))

    async def _admit(self, call: Call, route: Route) -> None:
        """Hold a request for as long as faults and throttles want; HubError, LostError, CutError."""
        if route.envelope is Envelope.PROVISIONING:
            device = call.params.get("registration")
            await self._hub.provisioning.admission.admit(device, kind_of(route.verb, device))
        else:
            await self._hub.admission.admit(call.params.get("device"), operation_of(route), len(call.payload))

    def _authorize(self, request: web.BaseRequest, found: Match, segments: tuple[str, ...]) -> Principal:
        """Who calls; HubError 401 unless token or certificate covers the resource and grants what the route needs.

        Endpoints of devices are for the device in the path.
        """
        token, chain = request.headers.get("Authorization", ""), _certificates(request)
        resource = "/".join((request.headers.get("Host", ""), *segments))
        if found.route.guard is not None:
            return found.route.guard(self._hub, token, resource, chain)
        if found.route.permission is Permission.DEVICE_CONNECT and "device" in found.params:
            return self._hub.auth.device(identity_of(found.params), token, resource, chain)
        return self._hub.auth.service(token, resource, found.route.permission, chain)

    def _refusal(self, error: HubError, envelope: Envelope) -> web.Response:
        if error.status == 401 and envelope is not Envelope.PROVISIONING:
            envelope = Envelope.REGISTRY
        body = error_body(error, envelope, self._hub.clock.now())
        response = _response(error.status, body, {envelope.header: error.name})
        if error.status == HTTPStatus.TOO_MANY_REQUESTS and envelope is Envelope.PROVISIONING:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        elif error.status == HTTPStatus.TOO_MANY_REQUESTS:
            # So does the service, which says nothing of Retry-After.
            response.force_close()
        return response


async def _call(hub: Hub, request: web.BaseRequest, found: Match, principal: Principal) -> Call:
    return Call(
        hub=hub,
        principal=principal,
        params=found.params,
        query={name.lower(): value for name, value in request.query.items()},
        headers={name.lower(): value for name, value in request.headers.items()},
        header_lines=tuple(request.headers.items()),
        chain=_certificates(request),
        payload=await _body(request),
    )


async def _body(request: web.BaseRequest) -> bytes:
    """The body; HubError 408 when it does not arrive in time."""
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError:
        raise refusals.too_slow(_BODY_S) from None


def _certificates(request: web.BaseRequest) -> tuple[bytes, ...]:
    """The certificates the client showed, its own first; none when it showed none."""
    transport = request.transport
    return transport.get_extra_info("peercert_chain_der", ()) if transport is not None else ()


async def _invite_body(request: web.BaseRequest) -> None:
    """Tell a client that waits to be asked for its body (RFC 9110, section 10.1.1) to send it."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _unmatched(request: web.BaseRequest, segments: tuple[str, ...]) -> HubError:
    allowed = allowed_methods(segments)
    return refusals.method_not_allowed(request.method, allowed) if allowed else refusals.not_found(request.path)


def _check_api_version(text: str | None) -> None:
    """Any dated version is accepted and none changes an answer; HubError InvalidProtocolVersion for another shape."""
    if text is None or not _API_VERSION.fullmatch(text):
        raise hub_error("InvalidProtocolVersion", "The query must have api-version=YYYY-MM-DD, such as 2021-04-12.")


def _response(status: int, body: bytes | None, headers: Mapping[str, str]) -> web.Response:
    content = {"Content-Type": _JSON} if body is not None else {}
    return web.Response(status=status, body=body, headers={"Server": "Edgeyard", **content, **headers})


def _bounded_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may have ``MOST_BODY_BYTES``; aiohttp would stop at 1 MiB."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MOST_BODY_BYTES)
