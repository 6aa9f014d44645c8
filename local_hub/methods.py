"""Direct methods: a call from a service to a connected device and back (IoT Hub developer guide, "Invoke direct
methods").

Nothing is queued or repeated: a call reaches the device at most once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from iot_core import limits
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.changes import Core
from local_hub.event_shapes import EventShapes
from local_hub.rows import load_record
from local_hub.sessions import DeviceLink, LinkClosedError
from local_hub.timing import until, within
from local_hub.twins.twins import not_found

__all__ = ["MethodCall", "Methods", "parse_call"]


@dataclass(frozen=True, kw_only=True)
class MethodCall:
    """A checked call: the method, its payload as JSON bytes (empty when none was given), time-outs in seconds."""

    name: str
    payload: bytes
    response_timeout_s: int
    connect_timeout_s: int


class Methods:
    """Calls methods on the links that accept them."""

    def __init__(self, core: Core, shapes: EventShapes) -> None:
        self._core = core
        self._shapes = shapes

    async def invoke(self, identity: Identity, body: JsonObject) -> JsonObject:
        """``{"status", "payload"}`` from the device.

        HubError ArgumentInvalid, DeviceNotFound, DeviceNotOnline (not connected, or without a method subscription,
        once the connect time-out is over), GatewayTimeout (no answer), DeviceConnectionClosedRemotely,
        GenericBadRequest (the answer is not JSON).
        """
        call = parse_call(body)
        if self._core.store.read(lambda connection: load_record(connection, identity)) is None:
            raise not_found(identity)
        try:
            answer = await self._call(identity, call)
        except HubError as error:
            self._tell(identity, call, {"error": error.name})
            raise
        self._tell(identity, call, {"status": answer["status"]})
        return answer

    async def _call(self, identity: Identity, call: MethodCall) -> JsonObject:
        started = self._core.clock.monotonic()
        link = await self._link(identity, started + call.connect_timeout_s)
        left = started + call.response_timeout_s - self._core.clock.monotonic()
        try:
            status, payload = await within(self._core.clock, left, link.call_method(call.name, call.payload))
        except TimeoutError:
            text = f"Timed out waiting for the response from the device: {call.response_timeout_s} s."
            raise hub_error("GatewayTimeout", text) from None
        except (LinkClosedError, ConnectionError):
            raise _closed() from None
        except asyncio.CancelledError:
            if self._caller_left():
                raise
            raise _closed() from None
        self._core.sessions.touch(identity)
        return {"status": status, "payload": _json_of(payload)}

    async def _link(self, identity: Identity, deadline: float) -> DeviceLink:
        def accepting() -> DeviceLink | None:
            link = self._core.sessions.get(identity)
            return link if link is not None and link.accepts_methods else None

        await until(self._core.clock, deadline, lambda: accepting() is not None)
        link = accepting()
        if link is None:
            text = "The operation failed because the requested device isn't online."
            raise hub_error("DeviceNotOnline", text)
        return link

    @staticmethod
    def _caller_left() -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _tell(self, identity: Identity, call: MethodCall, outcome: JsonObject) -> None:
        self._core.events.publish(self._shapes.method(identity, call.name, outcome, self._core.clock.now()))


def parse_call(body: JsonObject) -> MethodCall:
    """HubError ArgumentInvalid for a body that is no method call."""
    name = body.get("methodName")
    if not isinstance(name, str) or not name:
        raise _invalid("methodName is needed.")
    response = _seconds(
        body, "responseTimeoutInSeconds", limits.METHOD_RESPONSE_TIMEOUT_S, limits.METHOD_RESPONSE_TIMEOUT_DEFAULT_S
    )
    connect = _seconds(body, "connectTimeoutInSeconds", limits.METHOD_CONNECT_TIMEOUT_S, 0)
    if connect > response:
        text = f"Device connection timeout {connect} s cannot be longer than an overall call timeout {response} s."
        raise _invalid(text)
    return MethodCall(name=name, payload=_payload_of(body), response_timeout_s=response, connect_timeout_s=connect)


def _payload_of(body: JsonObject) -> bytes:
    payload = orjson.dumps(body["payload"]) if "payload" in body else b""
    if len(payload) > limits.METHOD_PAYLOAD_BYTES:
        raise _invalid(f"The payload has {len(payload)} bytes; {limits.METHOD_PAYLOAD_BYTES} are allowed.")
    return payload


def _seconds(body: JsonObject, name: str, allowed: range, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise _invalid(f"{name} must be a whole number from {allowed[0]} to {allowed[-1]}.")
    return value


def _json_of(payload: bytes) -> Any:
    if not payload.strip():
        return None
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise hub_error("GenericBadRequest", "The device answered the method with something other than JSON.") from None


def _closed() -> HubError:
    return hub_error("DeviceConnectionClosedRemotely", "The device's connection ended before it answered the method.")


def _invalid(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)
