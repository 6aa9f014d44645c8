"""The seam of the operators' tools: what they ask of an IoT Hub, whichever hub it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from iot_core.errors import EdgeyardError
from iot_core.identity import Identity

__all__ = ["BulkResult", "HubService", "HubUnreachableError", "Json", "MethodResult", "QueryPage"]

Json = dict[str, Any]


class HubUnreachableError(EdgeyardError):
    """No connection to the hub could be made, or it broke before the answer came."""


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """What a device answered to a direct method: its own status code and a JSON payload."""

    status: int
    payload: Any


@dataclass(frozen=True, kw_only=True)
class QueryPage:
    """Rows of one page, how large the answer was, and the token of the next page (None after the last)."""

    rows: list[Json]
    continuation: str | None
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class BulkResult:
    """What a bulk change of identities could not do: `{"deviceId", "errorCode", "errorStatus", …}` each."""

    errors: list[Json]
    warnings: list[Json]


class HubService(Protocol):
    """An IoT Hub seen from the service side.

    JSON bodies are those of the IoT Hub REST API (api-version 2021-04-12). A call the hub refuses raises `HubError`
    with the hub's own error code; a hub that does not answer raises `HubUnreachableError`. Reads, and writes that
    may be repeated without harm, are tried again when the hub throttles (429) or is briefly unavailable (503).
    """

    @property
    def host_name(self) -> str:
        """Host name of the hub, with the port when it is not 443."""
        ...

    async def get_device(self, device_id: str) -> Json:
        """The device identity with its keys; `HubError` 404001 when it does not exist."""
        ...

    async def create_device(self, device_id: str, *, edge: bool = False) -> Json:
        """A new identity with keys made by the hub; `HubError` 409001 when it exists."""
        ...

    async def put_device(self, device_id: str, device: Json, *, etag: str | None = None) -> Json:
        """A new identity, or with `etag` ("*" for whatever there is) the existing one replaced."""
        ...

    async def delete_device(self, device_id: str) -> None:
        """Removes the identity with its twin and modules, whatever its ETag."""
        ...

    async def list_modules(self, device_id: str) -> list[Json]:
        """The module identities of a device."""
        ...

    async def change_devices(self, items: Sequence[Json]) -> BulkResult:
        """Up to 100 items `{"id", "importMode", …}` at once; the throttle counts each as a registry operation."""
        ...

    async def device_counts(self) -> Json:
        """`{"totalDeviceCount", "enabledDeviceCount", "disabledDeviceCount"}`."""
        ...

    async def get_twin(self, identity: Identity) -> Json:
        """The full device or module twin."""
        ...

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        """Merges `{"tags": …, "properties": {"desired": …}}` and returns the twin after it; 412 on a stale `etag`."""
        ...

    async def replace_twin(self, identity: Identity, twin: Json, *, etag: str | None = None) -> Json:
        """Puts `{"tags": …, "properties": {"desired": …}}` in place of what is there; 412 on a stale `etag`."""
        ...

    def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        """Rows of a query in the hub's order, page after page, each fetched when it is needed."""
        ...

    def query_pages(
        self, text: str, *, page_size: int = 100, continuation: str | None = None
    ) -> AsyncIterator[QueryPage]:
        """The same by pages, from a continuation token on."""
        ...

    async def invoke_method(
        self,
        identity: Identity,
        name: str,
        payload: Any = None,
        *,
        response_timeout_s: int = 30,
        connect_timeout_s: int = 0,
    ) -> MethodResult:
        """Calls a direct method; `HubError` 404103 when the device is not connected, 504101 when it is silent."""
        ...

    async def create_job(self, job_id: str, job: Json) -> Json:
        """Submits a job (jobs v2) and returns its first state."""
        ...

    async def get_job(self, job_id: str) -> Json:
        """State of a job with `deviceJobStatistics`; type and status are `unknown` for an id never used."""
        ...

    async def cancel_job(self, job_id: str) -> Json:
        """Cancels a job that has not ended."""
        ...

    async def list_jobs(self, *, job_type: str | None = None, job_status: str | None = None) -> list[Json]:
        """The jobs of the last 30 days, of one type or status only where that is given."""
        ...

    async def list_configurations(self) -> list[Json]:
        """All configurations and deployments of the hub; there are at most 100."""
        ...

    async def get_configuration(self, configuration_id: str) -> Json:
        """One configuration with its metrics; `HubError` 404 when it does not exist."""
        ...

    async def put_configuration(self, configuration_id: str, configuration: Json, *, etag: str | None = None) -> Json:
        """A new configuration (409 when it exists), or with `etag` a change of all but its content and id."""
        ...

    async def delete_configuration(self, configuration_id: str, *, etag: str | None = None) -> None:
        """Removes it; what it has set stays in the twins. Without `etag` whatever its version."""
        ...

    async def test_target_condition(self, condition: str) -> str | None:
        """What is wrong with a target condition; None when nothing is. `*` is refused here, yet taken by a put."""
        ...

    async def apply_configuration_content(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Gives one edge device the deployment `{"modulesContent": …}`."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...
