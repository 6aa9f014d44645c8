"""`HubService` over azure-iot-hub: the same operations through Microsoft's own service SDK.

The SDK's managers stand on one generated client, and its answers are taken as the hub sent them. It is synchronous, so
calls run in threads. It installs on x86-64 Linux only.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from hub_tools.refusals import refusal_of
from hub_tools.replies import Reply, method_body
from hub_tools.retries import pause_before_retry
from hub_tools.service import BulkResult, HubUnreachableError, Json, MethodResult, QueryPage
from iot_core import limits
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, InputError
from iot_core.identity import Identity

__all__ = ["SdkHubService"]

REQUEST_TIMEOUT_S = 60.0
Operation = Callable[..., Any]


class SdkHubService:
    """See `HubService`. `ca_file` holds the authorities to trust in place of the usual ones (the local hub's)."""

    def __init__(self, connection: str | ConnectionString, *, ca_file: Path | None = None) -> None:
        policy = ConnectionString.parse(connection) if isinstance(connection, str) else connection
        if not policy.shared_access_key_name or not policy.shared_access_key:
            raise ConnectionStringError("azure-iot-hub needs a policy's SharedAccessKeyName and SharedAccessKey")
        self._policy = policy
        self._client = _client(policy)
        self._client.config.connection.timeout = REQUEST_TIMEOUT_S
        # When a call is made again is decided here, where it is known which may have its effect twice.
        self._client.config.retry_policy.retries = 0
        self._client.config.retry_policy.policy.status_forcelist = ()
        if ca_file is not None:
            self._client.config.connection.verify = str(ca_file)

    @property
    def host_name(self) -> str:
        return self._policy.host_name

    async def __aenter__(self) -> SdkHubService:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._client.close()

    async def get_device(self, device_id: str) -> Json:
        return (await self._call(self._client.devices.get_identity, device_id)).object()

    async def create_device(self, device_id: str, *, edge: bool = False) -> Json:
        return await self.put_device(device_id, {"status": "enabled", "capabilities": {"iotEdge": edge}})

    async def put_device(self, device_id: str, device: Json, *, etag: str | None = None) -> Json:
        body = {"deviceId": device_id, **device}
        put = self._client.devices.create_or_update_identity
        return (await self._call(put, device_id, body, if_match=_quoted(etag))).object()

    async def delete_device(self, device_id: str) -> None:
        await self._call(self._client.devices.delete_identity, device_id, if_match="*")

    async def list_modules(self, device_id: str) -> list[Json]:
        return (await self._call(self._client.modules.get_modules_on_device, device_id)).array()

    async def change_devices(self, items: Sequence[Json]) -> BulkResult:
        body = (await self._call(self._client.bulk_registry.update_registry, list(items), partly=True)).object()
        return BulkResult(errors=body["errors"] or [], warnings=body.get("warnings") or [])

    async def device_counts(self) -> Json:
        return (await self._call(self._client.statistics.get_device_statistics)).object()

    async def get_twin(self, identity: Identity) -> Json:
        return (await self._call(self._of(identity).get_twin, *_ids(identity))).object()

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        operation = self._of(identity).update_twin
        return (await self._call(operation, *_ids(identity), patch, if_match=_quoted(etag))).object()

    async def replace_twin(self, identity: Identity, twin: Json, *, etag: str | None = None) -> Json:
        operation = self._of(identity).replace_twin
        return (await self._call(operation, *_ids(identity), twin, if_match=_quoted(etag))).object()

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        async for page in self.query_pages(text, page_size=page_size):
            for row in page.rows:
                yield row

    async def query_pages(
        self, text: str, *, page_size: int = 100, continuation: str | None = None
    ) -> AsyncIterator[QueryPage]:
        while True:
            reply = await self._call(self._client.query.get_twins, {"query": text}, continuation, str(page_size))
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
        invoke = self._of(identity).invoke_method
        return (await self._call(invoke, *_ids(identity), body, repeatable=False, timeout=timeout_s)).method_result()

    async def create_job(self, job_id: str, job: Json) -> Json:
        body = {"jobId": job_id, **job}
        return (await self._call(self._client.jobs.create_scheduled_job, job_id, body, repeatable=False)).object()

    async def get_job(self, job_id: str) -> Json:
        return (await self._call(self._client.jobs.get_scheduled_job, job_id)).object()

    async def cancel_job(self, job_id: str) -> Json:
        return (await self._call(self._client.jobs.cancel_scheduled_job, job_id)).object()

    async def list_jobs(self, *, job_type: str | None = None, job_status: str | None = None) -> list[Json]:
        jobs: list[Json] = []
        headers: dict[str, str] = {}
        while True:
            reply = await self._call(self._query_jobs, job_type, job_status, headers)
            jobs += reply.array()
            continuation = reply.header("x-ms-continuation")
            if not continuation:
                return jobs
            headers = {"x-ms-continuation": continuation}

    async def list_configurations(self) -> list[Json]:
        most = limits.CONFIGURATIONS_PER_HUB
        return (await self._call(self._client.configuration.get_configurations, most)).array()

    async def get_configuration(self, configuration_id: str) -> Json:
        return (await self._call(self._client.configuration.get, configuration_id)).object()

    async def put_configuration(self, configuration_id: str, configuration: Json, *, etag: str | None = None) -> Json:
        body = {"id": configuration_id, **configuration}
        put = self._client.configuration.create_or_update
        return (await self._call(put, configuration_id, body, if_match=_quoted(etag))).object()

    async def delete_configuration(self, configuration_id: str, *, etag: str | None = None) -> None:
        await self._call(self._client.configuration.delete, configuration_id, if_match=_quoted(etag) or "*")

    async def test_target_condition(self, condition: str) -> str | None:
        body = {"targetCondition": condition, "customMetricQueries": {}}
        reply = (await self._call(self._client.configuration.test_queries, body)).object()
        return reply.get("targetConditionError") or None

    async def apply_configuration_content(self, device_id: str, content: Mapping[str, Any]) -> None:
        await self._call(self._client.configuration.apply_on_edge_device, device_id, dict(content))

    def _query_jobs(
        self, job_type: str | None, job_status: str | None, headers: Mapping[str, str], **options: Any
    ) -> Any:
        """What the SDK's own operation asks; that one takes the array of the answer for an object, and fails."""
        filters = {"jobType": job_type, "jobStatus": job_status, "api-version": self._client.jobs.api_version}
        sender = self._client._client
        request = sender.get("/jobs/v2/query", {name: value for name, value in filters.items() if value}, dict(headers))
        response = sender.send(request, stream=False)
        return SimpleNamespace(response=response)

    def _of(self, identity: Identity) -> Any:
        """The operations on devices or on modules, which have the same names."""
        return self._client.devices if identity.module_id is None else self._client.modules

    async def _call(
        self, operation: Operation, *arguments: Any, repeatable: bool = True, partly: bool = False, **options: Any
    ) -> Reply:
        """One operation, again after a pause while the hub throttles; `partly` lets a 400 with results pass."""
        for attempt in itertools.count():
            reply, method, path = await asyncio.to_thread(_exchange, operation, arguments, options, self.host_name)
            pause_s = pause_before_retry(reply, attempt, repeatable=repeatable)
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        if reply.status < 300 or (partly and reply.status == 400 and "errors" in reply.object()):
            return reply
        raise refusal_of(reply, method, path, f"the policy {self._policy.shared_access_key_name}")


def _exchange(
    operation: Operation, arguments: Sequence[Any], options: Mapping[str, Any], host: str
) -> tuple[Reply, str, str]:
    """The hub's answer, refusals too, with verb and path. HubUnreachableError; InputError for what the SDK refuses."""
    from azure.core.exceptions import DeserializationError, SerializationError
    from msrest.exceptions import ClientRequestError, HttpOperationError, ValidationError

    try:
        response = operation(*arguments, raw=True, **options).response
    except HttpOperationError as error:
        response = error.response
    except (SerializationError, ValidationError) as error:
        raise InputError(f"azure-iot-hub does not send this: {error}") from error
    except DeserializationError as error:
        raise HubUnreachableError(f"The answer of {host} cannot be read: {error}") from error
    except (ClientRequestError, OSError) as error:
        raise HubUnreachableError(f"IoT Hub {host} does not answer: {error}") from error
    reply = Reply(status=response.status_code, headers=dict(response.headers), body=response.content)
    return reply, str(response.request.method), urlsplit(str(response.request.url)).path


def _client(policy: ConnectionString) -> Any:
    """The generated client that the SDK's managers share; the configuration manager's opens no AMQP connection."""
    try:
        from azure.iot.hub import IoTHubConfigurationManager
    except ImportError:
        raise InputError(
            "azure-iot-hub is not there: it installs on x86-64 Linux only; use RestHubService elsewhere"
        ) from None
    return IoTHubConfigurationManager.from_connection_string(str(policy)).protocol


def _ids(identity: Identity) -> tuple[str, ...]:
    return (identity.device_id,) if identity.module_id is None else (identity.device_id, identity.module_id)


def _quoted(etag: str | None) -> str | None:
    return etag if etag in (None, "*") else f'"{etag}"'
