"""`HubService` over the IoT Hub REST API with aiohttp: many calls in flight, on every platform."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from hub_tools.replies import Reply, error_of
from hub_tools.service import HubUnreachableError, Json, MethodResult
from iot_core import sas
from iot_core.clock import Clock, SystemClock
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, InputError
from iot_core.identity import Identity

__all__ = ["RestHubService"]

API_VERSION = "2021-04-12"
TOKEN_TTL_S = 3600
TOKEN_RENEWAL_MARGIN_S = 300
"""A token is renewed this long before it ends, so that none ends under way."""
REQUEST_TIMEOUT_S = 60.0
RETRY_STATUSES = frozenset({429, 503})
RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""The hub sends no Retry-After; together about the ten seconds its message asks for."""
MAX_CONNECTIONS = 32


class RestHubService:
    """See `HubService`. `ca_file` adds a private authority (the local hub's) to those the system trusts."""

    def __init__(
        self,
        connection_string: str | ConnectionString,
        *,
        ca_file: Path | None = None,
        clock: Clock | None = None,
        api_version: str = API_VERSION,
    ) -> None:
        parsed = ConnectionString.parse(connection_string) if isinstance(connection_string, str) else connection_string
        if not parsed.shared_access_key_name or not parsed.shared_access_key:
            raise ConnectionStringError(
                "The connection string has no SharedAccessKeyName and SharedAccessKey; "
                "use one of a shared access policy of the hub, such as iothubowner, not a device's."
            )
        self._connection_string = parsed
        self._clock = clock or SystemClock()
        self._api_version = api_version
        self._ssl = _trusting(ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_renewal = 0.0

    @property
    def host_name(self) -> str:
        return self._connection_string.host_name

    async def __aenter__(self) -> RestHubService:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get_device(self, device_id: str) -> Json:
        return (await self.call("GET", f"/devices/{_id(device_id)}")).object()

    async def create_device(self, device_id: str, *, edge: bool = False) -> Json:
        body = {"deviceId": device_id, "status": "enabled", "capabilities": {"iotEdge": edge}}
        return (await self.call("PUT", f"/devices/{_id(device_id)}", body)).object()

    async def delete_device(self, device_id: str) -> None:
        await self.call("DELETE", f"/devices/{_id(device_id)}", headers={"If-Match": "*"})

    async def get_twin(self, identity: Identity) -> Json:
        return (await self.call("GET", f"/twins/{_path(identity)}")).object()

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        return (await self.call("PATCH", f"/twins/{_path(identity)}", patch, headers=headers)).object()

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        headers = {"x-ms-max-item-count": str(page_size)}
        while True:
            reply = await self.call("POST", "/devices/query", {"query": text}, headers=headers)
            for row in reply.array():
                yield row
            continuation = reply.header("x-ms-continuation")
            if not continuation:
                return
            headers["x-ms-continuation"] = continuation

    async def invoke_method(
        self,
        identity: Identity,
        name: str,
        payload: Any = None,
        *,
        response_timeout_s: int = 30,
        connect_timeout_s: int = 0,
    ) -> MethodResult:
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": response_timeout_s,
            "connectTimeoutInSeconds": connect_timeout_s,
        }
        timeout_s = response_timeout_s + connect_timeout_s + REQUEST_TIMEOUT_S
        reply = await self.call(
            "POST", f"/twins/{_path(identity)}/methods", body, timeout_s=timeout_s, repeatable=False
        )
        answer = reply.object()
        return MethodResult(status=int(answer.get("status", 0)), payload=answer.get("payload"))

    async def create_job(self, job_id: str, job: Json) -> Json:
        body = {"jobId": job_id, **job}
        return (await self.call("PUT", f"/jobs/v2/{_id(job_id)}", body, repeatable=False)).object()

    async def get_job(self, job_id: str) -> Json:
        return (await self.call("GET", f"/jobs/v2/{_id(job_id)}")).object()

    async def cancel_job(self, job_id: str) -> Json:
        return (await self.call("POST", f"/jobs/v2/{_id(job_id)}/cancel", {})).object()

    async def apply_configuration_content(self, device_id: str, content: Mapping[str, Any]) -> None:
        await self.call("POST", f"/devices/{_id(device_id)}/applyConfigurationContent", dict(content))

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        repeatable: bool = True,
    ) -> Reply:
        """Any operation, by its path without the query; a refusal is raised as a HubError."""
        for delay_s in (*(RETRY_DELAYS_S if repeatable else ()), None):
            reply = await self.exchange(method, path, body, headers=headers, timeout_s=timeout_s)
            if reply.status < 300:
                return reply
            if delay_s is None or reply.status not in RETRY_STATUSES:
                raise error_of(reply)
            await asyncio.sleep(delay_s)
        raise AssertionError("the last attempt returns or raises")

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        authorized: bool = True,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Reply:
        """One attempt at any operation: the hub's answer, refusals too.

        `data` is sent as it is, where it is given, in place of `body` as JSON; `query` follows the api-version, `path`
        and `query` percent-encoded. Without `authorized` no token is added. Raises `HubUnreachableError`.
        """
        sent = {"Authorization": self._authorization()} if authorized else {}
        if data is not None:
            sent["Content-Type"] = "application/json; charset=utf-8"
        url = f"https://{self.host_name}{path}?{'&'.join(filter(None, (f'api-version={self._api_version}', query)))}"
        try:
            async with self._open_session().request(
                method,
                URL(url, encoded=True),
                json=body if data is None else None,
                data=data,
                headers={**sent, **(headers or {})},
                ssl=self._ssl,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return Reply(status=response.status, headers=dict(response.headers), body=await response.read())
        except aiohttp.ClientConnectorCertificateError as error:
            raise HubUnreachableError(
                f"The certificate of {self.host_name} is not trusted ({error.certificate_error}). "
                "For a local hub, set SSL_CERT_FILE as `edgeyard hub env` prints it."
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise HubUnreachableError(f"IoT Hub {self.host_name} does not answer: {reason}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS))
        return self._session

    def _authorization(self) -> str:
        now = self._clock.now()
        if now >= self._token_renewal:
            self._token = sas.token_for(self._connection_string, now, ttl_s=TOKEN_TTL_S)
            self._token_renewal = now + TOKEN_TTL_S - TOKEN_RENEWAL_MARGIN_S
        return self._token


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"{ca_file} cannot be read as a PEM file of certificates: {error}") from error
    return context


def _id(text: str) -> str:
    return quote(text, safe="")


def _path(identity: Identity) -> str:
    if identity.module_id is None:
        return _id(identity.device_id)
    return f"{_id(identity.device_id)}/modules/{_id(identity.module_id)}"
