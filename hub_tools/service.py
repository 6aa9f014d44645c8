"""The seam of the operators' tools: what they ask of an IoT Hub, whichever hub it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from iot_core.errors import EdgeyardError
from iot_core.identity import Identity

__all__ = ["HubService", "HubUnreachableError", "Json", "MethodResult"]

Json = dict[str, Any]


class HubUnreachableError(EdgeyardError):
    """No connection to the hub could be made, or it broke before the answer came."""


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """What a device answered to a direct method: its own status code and a JSON payload."""

    status: int
    payload: Any


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

    async def delete_device(self, device_id: str) -> None:
        """Removes the identity with its twin and modules, whatever its ETag."""
        ...

    async def get_twin(self, identity: Identity) -> Json:
        """The full device or module twin."""
        ...

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        """Merges `{"tags": …, "properties": {"desired": …}}` and returns the twin after it; 412 on a stale `etag`."""
        ...

    def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        """Rows of a query in the hub's order, page after page, each fetched when it is needed."""
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

    async def apply_configuration_content(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Gives one edge device the deployment `{"modulesContent": …}`."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...
