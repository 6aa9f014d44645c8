"""`HubService` over the IoT Hub REST API with aiohttp: many calls in flight, on every platform."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from hub_tools.credentials import Credential, PolicyCredential
from hub_tools.refusals import refusal_of
from hub_tools.replies import Reply, method_body
from hub_tools.retries import pause_before_retry
from hub_tools.service import BulkResult, HubUnreachableError, Json, MethodResult, QueryPage
from iot_core import limits
from iot_core.clock import Clock
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError, InputError
from iot_core.identity import Identity

__all__ = ["RestHubService"]

API_VERSION = "2021-04-12"
REQUEST_TIMEOUT_S = 60.0
MAX_CONNECTIONS = 32


class RestHubService:
    """See `HubService`. `ca_file` adds a private authority (the local hub's) to those the system trusts."""

    def __init__(
        self,
        connection: str | ConnectionString | Credential,
        *,
        ca_file: Path | None = None,
        clock: Clock | None = None,
        api_version: str = API_VERSION,
    ) -> None:
        if isinstance(connection, str):
            connection = ConnectionString.parse(connection)
        if isinstance(connection, ConnectionString):
            connection = PolicyCredential(connection, clock=clock)
        self._credential = connection
        self._api_version = api_version
        self._ssl = _trusting(ca_file)
        self._session: aiohttp.ClientSession | None = None

    @property
    def host_name(self) -> str:
        return self._credential.host_name

    async def __aenter__(self) -> RestHubService:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._credential.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get_device(self, device_id: str) -> Json:
        return (await self.call("GET", f"/devices/{_id(device_id)}")).object()

    async def create_device(self, device_id: str, *, edge: bool = False) -> Json:
        return await self.put_device(device_id, {"status": "enabled", "capabilities": {"iotEdge": edge}})

    async def put_device(self, device_id: str, device: Json, *, etag: str | None = None) -> Json:
        body = {"deviceId": device_id, **device}
        return (await self.call("PUT", f"/devices/{_id(device_id)}", body, headers=_if_match(etag))).object()

    async def delete_device(self, device_id: str) -> None:
        await self.call("DELETE", f"/devices/{_id(device_id)}", headers={"If-Match": "*"})

    async def list_modules(self, device_id: str) -> list[Json]:
        return (await self.call("GET", f"/devices/{_id(device_id)}/modules")).array()

    async def change_devices(self, items: Sequence[Json]) -> BulkResult:
        reply = await self.exchange_repeatedly("POST", "/devices", list(items))
        if reply.status not in (200, 400) or "errors" not in (body := reply.object()):
            raise self._refusal("POST", "/devices", reply)
        return BulkResult(errors=body["errors"] or [], warnings=body.get("warnings") or [])

    async def device_counts(self) -> Json:
        return (await self.call("GET", "/statistics/devices")).object()

    async def get_twin(self, identity: Identity) -> Json:
        return (await self.call("GET", f"/twins/{_path(identity)}")).object()

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        return (await self.call("PATCH", f"/twins/{_path(identity)}", patch, headers=_if_match(etag))).object()

    async def replace_twin(self, identity: Identity, twin: Json, *, etag: str | None = None) -> Json:
        return (await self.call("PUT", f"/twins/{_path(identity)}", twin, headers=_if_match(etag))).object()

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        async for page in self.query_pages(text, page_size=page_size):
            for row in page.rows:
                yield row

    async def query_pages(
        self, text: str, *, page_size: int = 100, continuation: str | None = None
    ) -> AsyncIterator[QueryPage]:
        while True:
            headers = {"x-ms-max-item-count": str(page_size)}
            if continuation:
                headers["x-ms-continuation"] = continuation
            reply = await self.call("POST", "/devices/query", {"query": text}, headers=headers)
            continuation = reply.header("x-ms-continuation") or None
            yield QueryPage(rows=reply.array(), continuation=continuation, size_bytes=len(reply.body))
            if not continuation:
                return

    async def invoke_method(
        self,
        identity: Identity,
        name: str,
        payload: Any = None,
        *,
        response_timeout_s: int = 30,
        connect_timeout_s: int = 0,
    ) -> MethodResult:
        body = method_body(name, payload, response_timeout_s, connect_timeout_s)
        timeout_s = response_timeout_s + connect_timeout_s + REQUEST_TIMEOUT_S
        reply = await self.call(
            "POST", f"/twins/{_path(identity)}/methods", body, timeout_s=timeout_s, repeatable=False
        )
        return reply.method_result()

    async def create_job(self, job_id: str, job: Json) -> Json:
        body = {"jobId": job_id, **job}
        return (await self.call("PUT", f"/jobs/v2/{_id(job_id)}", body, repeatable=False)).object()

    async def get_job(self, job_id: str) -> Json:
        return (await self.call("GET", f"/jobs/v2/{_id(job_id)}")).object()

    async def cancel_job(self, job_id: str) -> Json:
        return (await self.call("POST", f"/jobs/v2/{_id(job_id)}/cancel", {})).object()

    async def list_jobs(self, *, job_type: str | None = None, job_status: str | None = None) -> list[Json]:
        wanted = {"jobType": job_type, "jobStatus": job_status}
        filters = "&".join(f"{name}={quote(value, safe='')}" for name, value in wanted.items() if value)
        jobs: list[Json] = []
        headers: dict[str, str] = {}
        while True:
            reply = await self.call("GET", "/jobs/v2/query", headers=headers, query=filters)
            jobs += reply.array()
            continuation = reply.header("x-ms-continuation")
            if not continuation:
                return jobs
            headers = {"x-ms-continuation": continuation}

    async def list_configurations(self) -> list[Json]:
        return (await self.call("GET", "/configurations", query=f"top={limits.CONFIGURATIONS_PER_HUB}")).array()

    async def get_configuration(self, configuration_id: str) -> Json:
        return (await self.call("GET", f"/configurations/{_id(configuration_id)}")).object()

    async def put_configuration(self, configuration_id: str, configuration: Json, *, etag: str | None = None) -> Json:
        body = {"id": configuration_id, **configuration}
        path = f"/configurations/{_id(configuration_id)}"
        return (await self.call("PUT", path, body, headers=_if_match(etag))).object()

    async def delete_configuration(self, configuration_id: str, *, etag: str | None = None) -> None:
        headers = _if_match(etag) or {"If-Match": "*"}
        await self.call("DELETE", f"/configurations/{_id(configuration_id)}", headers=headers)

    async def test_target_condition(self, condition: str) -> str | None:
        body = {"targetCondition": condition, "customMetricQueries": {}}
        reply = (await self.call("POST", "/configurations/testQueries", body)).object()
        return reply.get("targetConditionError") or None

    async def apply_configuration_content(self, device_id: str, content: Mapping[str, Any]) -> None:
        await self.call("POST", f"/devices/{_id(device_id)}/applyConfigurationContent", dict(content))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        repeatable: bool = True,
    ) -> Reply:
        """Any operation, by its path and what follows the api-version; a refusal is raised as a HubError.

        `repeatable` says whether it may have its effect twice.
        """
        reply = await self.exchange_repeatedly(
            method, path, body, query=query, headers=headers, timeout_s=timeout_s, repeatable=repeatable
        )
        if reply.status >= 300:
            raise self._refusal(method, path, reply)
        return reply

    async def exchange_repeatedly(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        repeatable: bool = True,
    ) -> Reply:
        """Like `exchange`, a few times again after a pause while the hub throttles or, where the call is `repeatable`,
        is briefly away.
        """
        for attempt in itertools.count():
            reply = await self.exchange(method, path, body, query=query, headers=headers, timeout_s=timeout_s)
            pause_s = pause_before_retry(reply, attempt, repeatable=repeatable)
            if pause_s is None:
                return reply
            await asyncio.sleep(pause_s)
        raise AssertionError("attempts are bounded by pause_before_retry")

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
        sent = {"Authorization": await self._credential.authorization()} if authorized else {}
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
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            reason = str(getattr(cause, "strerror", None) or cause) or type(error).__name__
            raise HubUnreachableError(f"IoT Hub {self.host_name} does not answer: {reason}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS))
        return self._session

    def _refusal(self, method: str, path: str, reply: Reply) -> HubError:
        return refusal_of(reply, method, path, self._credential.name)


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


def _if_match(etag: str | None) -> dict[str, str]:
    if etag is None:
        return {}
    return {"If-Match": etag if etag == "*" else f'"{etag}"'}


def _path(identity: Identity) -> str:
    if identity.module_id is None:
        return _id(identity.device_id)
    return f"{_id(identity.device_id)}/modules/{_id(identity.module_id)}"
