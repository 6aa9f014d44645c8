"""The blob endpoint over HTTP: one request in, one answer out, by the account's name in the first segment of the path.

https://{host}/{account}[/{container}[/{blob}]]?{query}
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from iot_core.clock import Clock
from iot_core.storage.names import check_blob_name, check_container_name
from iot_core.storage.needs import Need
from iot_core.storage.query import parse_query
from iot_core.storage.refusals import StorageRefusal, refused
from iot_core.storage.sas import Resource, read_signature
from iot_core.storage.shared_key import verify_shared_key
from local_hub.blobs import xml
from local_hub.blobs.account import ACCOUNT_NAME, account_at
from local_hub.blobs.blob_store import BlobStore
from local_hub.blobs.call import Call, Reply, Streamed
from local_hub.blobs.operations import Target, check_headers, find_operation
from local_hub.controls.faults import CutError, FaultKind, Faults, LostError

__all__ = ["BlobEndpoint"]

DEFAULT_VERSION = "2018-03-28"
"""What ``x-ms-version`` of a reply says when neither the request nor its signature names one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A request as far as the path and its headers tell."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    resource: Resource
    target: Target


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grant:
    """``permissions`` None: all; ``overrides`` are headers of the reply."""

    permissions: str | None
    overrides: Mapping[str, str]


class BlobEndpoint:
    """Answers with what ``blobs`` keeps; ``key`` is the account's. A fault of a device strikes blobs under its name."""

    def __init__(self, blobs: BlobStore, clock: Clock, key: str, faults: Faults) -> None:
        self._blobs = blobs
        self._faults = faults
        self._clock = clock
        self._key = key

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Raises for a connection that went away, and LostError and CutError where a fault wants the request to vanish
        or the connection to end.
        """
        request_id = str(uuid.uuid4())
        try:
            with contextlib.ExitStack() as stack:
                reply = await self._handle(request, stack)
                return await self._send(request, reply, _common(request, request_id, self._clock.now()))
        except StorageRefusal as refusal:
            return self._refuse(request, refusal, request_id)
        except web.RequestPayloadError:
            return self._refuse(request, refused("InvalidInput", "The body is not what its headers say."), request_id)
        except (ConnectionError, LostError, CutError):
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return self._refuse(request, refused("InternalError"), request_id)

    async def _handle(self, request: web.BaseRequest, stack: contextlib.ExitStack) -> Reply:
        asked = _read(request)
        if self._faults.active:
            await self._strike(asked.resource.blob.partition("/")[0] or None)
        operation = find_operation(asked.target, asked.verb, asked.query)
        account = account_at(request.headers.get("Host", ""), self._key)
        grant = self._authorize(request, asked, operation.need)
        check_headers(asked.headers)
        if asked.headers.get("expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        call = Call(
            blobs=self._blobs,
            endpoint=account.blob_endpoint,
            container=asked.resource.container,
            blob=asked.resource.blob,
            query=asked.query,
            headers=asked.headers,
            header_lines=tuple(request.headers.items()),
            body=request.content,
            permissions=grant.permissions,
            overrides=grant.overrides,
            stack=stack,
        )
        return await operation.handler(call)

    async def _strike(self, device: str | None) -> None:
        """Hold a request for as long as faults want; StorageRefusal, LostError, CutError."""
        await self._faults.pass_by(device)
        if self._faults.strikes(FaultKind.REFUSE, device):
            raise refused("AuthenticationFailed")
        if self._faults.strikes(FaultKind.THROTTLE, device):
            raise refused("ServerBusy")

    def _authorize(self, request: web.BaseRequest, asked: _Asked, need: Need) -> _Grant:
        """By the signature in the query, or the account's key; StorageRefusal."""
        account = account_at("", self._key)
        signature = read_signature(asked.query)
        if signature is not None:
            signature.verify(account, asked.resource, need, now=self._clock.now(), peer=_peer(request))
            return _Grant(permissions=signature.permissions, overrides=signature.overrides)
        if "authorization" not in asked.headers:
            raise refused("NoAuthenticationInformation")
        verify_shared_key(account, asked.verb, asked.path, asked.query, asked.headers)
        return _Grant(permissions=None, overrides={})

    async def _send(self, request: web.BaseRequest, reply: Reply, common: Mapping[str, str]) -> web.StreamResponse:
        headers = {**common, **reply.headers}
        if reply.streamed is None or request.method == "HEAD":
            return web.Response(status=reply.status, headers=headers, body=reply.body or None)
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(reply.streamed.wanted)
        await response.prepare(request)
        await self._stream(request, response, reply.streamed)
        return response

    async def _stream(self, request: web.BaseRequest, response: web.StreamResponse, streamed: Streamed) -> None:
        """What goes wrong once the headers have left can only be told by hanging up."""
        try:
            async for piece in self._blobs.files.read(streamed.content.parts, streamed.wanted):
                await response.write(piece)
            await response.write_eof()
        except OSError as error:
            if not isinstance(error, ConnectionError):
                _log.exception("%s cannot be read", request.path)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the blob's content ended early") from error

    def _refuse(self, request: web.BaseRequest, refusal: StorageRefusal, request_id: str) -> web.Response:
        now = self._clock.now()
        headers = {**_common(request, request_id, now), "x-ms-error-code": _code(refusal)}
        if refusal.status == 304 or request.method == "HEAD":
            return web.Response(status=refusal.status, headers=headers)
        headers["Content-Type"] = "application/xml"
        return web.Response(status=refusal.status, headers=headers, body=xml.error(refusal, request_id, now))


def _read(request: web.BaseRequest) -> _Asked:
    """StorageRefusal for names that cannot be."""
    path, _, query_text = request.raw_path.partition("?")
    query = parse_query(query_text)
    container, _, blob = (
        unquote(part) for part in path.removeprefix(f"/{ACCOUNT_NAME}").removeprefix("/").partition("/")
    )
    if blob:
        target = Target.BLOB
        check_blob_name(blob)
    else:
        target = Target.CONTAINER if container else Target.ACCOUNT
        if container and query.get("restype", "").lower() != "container":
            raise refused("InvalidUri", "A container is addressed with restype=container; $root is not built.")
    if container:
        check_container_name(container)
    return _Asked(
        verb=request.method,
        path=path,
        query=query,
        headers={name.lower(): value for name, value in request.headers.items()},
        resource=Resource(container=container, blob=blob),
        target=target,
    )


def _common(request: web.BaseRequest, request_id: str, now: float) -> dict[str, str]:
    """Headers of every answer."""
    headers = {
        "Server": "Edgeyard",
        "Date": xml.http_date(now),
        "x-ms-request-id": request_id,
        "x-ms-version": request.headers.get("x-ms-version", DEFAULT_VERSION)[:20],
    }
    if client_id := request.headers.get("x-ms-client-request-id", "")[:1024]:
        headers["x-ms-client-request-id"] = client_id
    return headers


def _code(refusal: StorageRefusal) -> str:
    """NotModified has a status of its own here; clients know it as ConditionNotMet."""
    return "ConditionNotMet" if refusal.status == 304 else refusal.code


def _peer(request: web.BaseRequest) -> str | None:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peer[0]) if peer else None
