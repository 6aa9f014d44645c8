"""Direct methods that end at a module of this edge.

Limits and answers: IoT Hub developer guide, "Understand and invoke direct methods", with the edge hub's own defaults.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from iot_core.errors import InputError
from iot_core.limits import METHOD_CONNECT_TIMEOUT_S, METHOD_PAYLOAD_BYTES, METHOD_RESPONSE_TIMEOUT_S
from iot_core.topics import Subscription
from local_edge.edgehub.clients import ClientGoneError, Clients, ModuleClient
from local_edge.errors import EdgeError

__all__ = ["MethodCall", "MethodInputError", "MethodTimeoutError", "ModuleAbsentError", "ModuleMethods", "read_call"]

MAX_NAME_CHARACTERS = 100
DEFAULT_RESPONSE_TIMEOUT_S = 30


class MethodInputError(InputError):
    """A method call that breaks the limits."""


class ModuleAbsentError(EdgeError):
    """The called module is not connected or does not take method calls."""


class MethodTimeoutError(EdgeError):
    """The called module did not answer in time."""


@dataclass(frozen=True, kw_only=True)
class MethodCall:
    """A method call; times in seconds, `payload` as JSON text."""

    name: str
    payload: bytes = b"null"
    response_timeout_s: int = DEFAULT_RESPONSE_TIMEOUT_S
    connect_timeout_s: int = 0


class ModuleMethods:
    """Calls methods of connected modules."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def invoke(self, module: str, call: MethodCall) -> tuple[int, bytes]:
        """The module's status and payload; ModuleAbsentError or MethodTimeoutError."""
        client = await self._client(module, call.connect_timeout_s)
        try:
            async with asyncio.timeout(call.response_timeout_s):
                return await client.call(call.name, call.payload)
        except TimeoutError:
            raise MethodTimeoutError(
                f"module {module} did not answer {call.name} within {call.response_timeout_s} s"
            ) from None
        except ClientGoneError as error:
            raise ModuleAbsentError(str(error)) from None

    async def _client(self, module: str, wait_s: int) -> ModuleClient:
        client = self._clients.get(module)
        if client is not None and client.subscribed(Subscription.METHODS):
            return client
        try:
            async with asyncio.timeout(wait_s):
                return await self._clients.ready(module, Subscription.METHODS)
        except TimeoutError:
            raise ModuleAbsentError(
                f"module {module} is not found: not connected, or it takes no method calls"
            ) from None


def read_call(body: Any) -> MethodCall:
    """The call in the JSON body of a REST request; MethodInputError names what is wrong."""
    if not isinstance(body, dict):
        raise MethodInputError("the body must be a JSON object with methodName")
    name = body.get("methodName")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise MethodInputError(f"methodName must be a text of 1 to {MAX_NAME_CHARACTERS} characters")
    payload = json.dumps(body.get("payload")).encode()
    if len(payload) > METHOD_PAYLOAD_BYTES:
        raise MethodInputError(f"the payload has {len(payload)} bytes, {METHOD_PAYLOAD_BYTES} are allowed")
    return MethodCall(
        name=name,
        payload=payload,
        response_timeout_s=_seconds(
            body, "responseTimeoutInSeconds", METHOD_RESPONSE_TIMEOUT_S, DEFAULT_RESPONSE_TIMEOUT_S
        ),
        connect_timeout_s=_seconds(body, "connectTimeoutInSeconds", METHOD_CONNECT_TIMEOUT_S, 0),
    )


def _seconds(body: dict[str, Any], key: str, allowed: range, default: int) -> int:
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise MethodInputError(f"{key} must be from {allowed.start} to {allowed.stop - 1} seconds")
    return value
