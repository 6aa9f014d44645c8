"""The call of a webhook that allocates devices (DPS documentation, "Understand custom allocation policies")."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from iot_core.dps import Allocation, CustomAllocation, parse_allocation, provisioning_error
from iot_core.errors import HubError
from iot_core.json_types import JsonObject

__all__ = ["allocate"]

TIMEOUT_S = 5.0
"""From the first byte sent to the last one of the answer: a device waits for it."""
MAX_ANSWER_BYTES = 256 * 1024
"""A twin and something for the device."""


async def allocate(definition: CustomAllocation, request: JsonObject) -> Allocation:
    """Ask the webhook where a device belongs; HubError CustomAllocationFailed."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.post(definition.webhook_url, json=request) as response,
        ):
            if response.status != 200:
                raise _failed(f"with status code: {response.status}")
            return parse_allocation(_json(await _bounded(response)))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _failed(f": the webhook does not answer ({type(error).__name__})") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise _failed(f": the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _failed(f": the answer is not JSON ({error})") from error


def _failed(text: str) -> HubError:
    joined = text if text.startswith(":") else f" {text}"
    return provisioning_error("CustomAllocationFailed", f"Custom allocation failed{joined}")
