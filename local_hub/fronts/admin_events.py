"""The built-in endpoint and the message routing on the admin door, for tests and for people at this machine.

======================================== ============================================================================
GET /eventhub                            ``{"name", "created", "consumerGroups", "partitions": [{"id", …}]}``
POST /eventhub/groups?name=NAME          adds a consumer group; DELETE removes it; both answer with GET /eventhub
GET /eventhub/partitions/ID/events       events of a partition as a JSON array, see ``get_partition_events``
GET /routing                             ``{"settings", "endpoints"}``: routing.json, and how each endpoint fares
PUT /routing                             other settings, answered like GET
POST /routing/test                       where a message would go, see ``post_routing_test``
======================================== ============================================================================
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from iot_core.clock import iso
from iot_core.errors import InputError
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.event_shapes import body_value
from local_hub.eventhub import TELEMETRY, EventData, HubMessage, PartitionInfo
from local_hub.eventhub.positions import parse_position
from local_hub.hub import Hub

__all__ = ["event_routes", "partition_events"]

_PARTITION = re.compile(r"/eventhub/partitions/([^/]+)/events")
EVENTS_DEFAULT = 100
EVENTS_MAX = 1_000
WAIT_MAX_S = 60.0

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def event_routes(hub: Hub) -> dict[tuple[str, str], _Handler]:
    """Handlers by verb and path; each raises InputError for what cannot be."""
    return {
        ("GET", "/eventhub"): partial(_get_event_hub, hub),
        ("POST", "/eventhub/groups"): partial(_post_group, hub),
        ("DELETE", "/eventhub/groups"): partial(_delete_group, hub),
        ("GET", "/routing"): partial(_get_routing, hub),
        ("PUT", "/routing"): partial(_put_routing, hub),
        ("POST", "/routing/test"): partial(post_routing_test, hub),
    }


def partition_events(hub: Hub, request: web.BaseRequest) -> _Handler | None:
    """The handler of a request for a partition's events; None for any other."""
    match = _PARTITION.fullmatch(request.path)
    return partial(get_partition_events, hub, match[1]) if match and request.method == "GET" else None


async def get_partition_events(hub: Hub, partition_id: str, request: web.BaseRequest) -> web.Response:
    """Events from ``?from=`` on (see ``parse_position``; else the earliest), at most ``limit`` of them; where there are
    none, ``wait`` seconds are waited for one. Each is an event of the hub's stream with ``sequenceNumber`` and
    ``offset``.
    """
    query = request.query
    limit = _number(query.get("limit", str(EVENTS_DEFAULT)), EVENTS_MAX, "limit")
    reader = hub.event_hub.open(partition_id, parse_position(query.get("from", "earliest")))
    events = reader.read_now(int(limit))
    if not events:
        try:
            async with asyncio.timeout(_number(query.get("wait", "0"), WAIT_MAX_S, "wait")):
                events = await reader.read(int(limit))
        except TimeoutError:
            events = []
    return _json([_event(event) for event in events])


async def post_routing_test(hub: Hub, request: web.BaseRequest) -> web.Response:
    """``{"message": {"deviceId", "moduleId"?, "source"?, "properties"?, "systemProperties"?, "body"?}}`` →
    ``{"endpointNames"}`` that it would go to; with ``"route"`` beside it → ``{"matches"}`` of that route alone.

    The message need not come from a device that exists; a body that is no text is sent as JSON.
    """
    given = _object(await request.read())
    message = _message(given.get("message", {}), hub.event_hub.time())
    if "route" in given:
        return _json({"matches": hub.routing.matches(given["route"], message)})
    return _json({"endpointNames": hub.routing.endpoints_of(message)})


async def _get_event_hub(hub: Hub, _request: web.BaseRequest) -> web.Response:
    event_hub = hub.event_hub
    partitions = [_partition(event_hub.info(partition_id)) for partition_id in event_hub.partition_ids]
    created = iso(event_hub.created)
    groups = list(event_hub.groups.names)
    return _json({"name": event_hub.name, "created": created, "consumerGroups": groups, "partitions": partitions})


async def _post_group(hub: Hub, request: web.BaseRequest) -> web.Response:
    await hub.event_hub.groups.add(request.query.get("name", ""))
    return await _get_event_hub(hub, request)


async def _delete_group(hub: Hub, request: web.BaseRequest) -> web.Response:
    await hub.event_hub.groups.remove(request.query.get("name", ""))
    return await _get_event_hub(hub, request)


async def _get_routing(hub: Hub, _request: web.BaseRequest) -> web.Response:
    return _json({"settings": hub.routing.settings.document, "endpoints": hub.routing.endpoint_states()})


async def _put_routing(hub: Hub, request: web.BaseRequest) -> web.Response:
    await hub.routing.replace(_object(await request.read()))
    return await _get_routing(hub, request)


def _partition(info: PartitionInfo) -> JsonObject:
    return {
        "id": info.partition_id,
        "beginningSequenceNumber": info.beginning_sequence_number,
        "lastSequenceNumber": info.last_sequence_number,
        "lastOffset": info.last_offset,
        "lastEnqueuedTime": None if info.last_enqueued is None else iso(info.last_enqueued),
        "isEmpty": info.is_empty,
    }


def _event(event: EventData) -> JsonObject:
    message, whole = event.message, event.message.message
    ids = {"deviceId": message.identity.device_id, "moduleId": message.identity.module_id}
    return {
        "sequenceNumber": event.sequence_number,
        "offset": event.offset,
        "time": iso(message.enqueued),
        "source": message.source,
        **{name: value for name, value in ids.items() if value},
        "properties": whole.properties,
        "systemProperties": whole.system,
        "body": body_value(whole),
    }


def _message(fields: Any, now: float) -> HubMessage:
    known = ("deviceId", "moduleId", "source", "properties", "systemProperties", "body")
    if not isinstance(fields, dict) or fields.keys() - set(known):
        raise InputError(f"the message must be an object of {', '.join(known)}")
    body = fields.get("body", "")
    return HubMessage(
        identity=Identity(str(fields.get("deviceId", "test")), fields.get("moduleId")),
        enqueued=now,
        body=body.encode() if isinstance(body, str) else orjson.dumps(body),
        properties=_texts(fields.get("properties", {}), "properties"),
        system=_texts(fields.get("systemProperties", {}), "systemProperties"),
        source=str(fields.get("source", TELEMETRY)),
    )


def _texts(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InputError(f"{what} must be an object of texts")
    return value


def _object(payload: bytes) -> JsonObject:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError("the body must be a JSON object")
    return value


def _number(text: str, most: float, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise InputError(f"{what} must be a number from 0 to {most:g}, not {text[:20]!r}")
    return number


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
