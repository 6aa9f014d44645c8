"""The controls of the admin door that no real hub has: the clock, faults, the traffic log, snapshots and reset.

============================ ========================================================================================
GET /clock                   ``{"now", "offsetSeconds", "tokensOffsetSeconds"}``, times by the hub's clock
POST /clock                  ``{"advanceSeconds": 3600, "tokens": false}``; answered like GET
DELETE /clock                back to the machine's time; answered like GET
GET /faults                  ``[{"number", "kind", "device", "rate", "ends"}]``, the faults that stand
POST /faults                 ``{"kind", "device"?, "forSeconds"?, "rate"?, "delayMs"?}``; answers with the new one
DELETE /faults?device=ID     takes back those of one device, or all; ``{"cleared": 2}``
GET /log?device=ID&last=N    the last lines of the traffic log, as ``TrafficLog.lines``
GET /snapshots               ``[{"name", "saved", "size"}]``
POST /snapshots              ``{"name"}`` keeps the data as it is now; answers with the new one
DELETE /snapshots?name=NAME  removes one
POST /snapshots/restore      ``{"name"}``: the hub goes on with that data; answers when it serves again
POST /reset                  ``{"keys": false}``: the hub goes on without data, and with new keys if asked
============================ ========================================================================================

Restore and reset end every connection; the ports stay open meanwhile, so that clients that connect have to wait and are
not refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from iot_core.clock import OffsetClock, iso
from iot_core.errors import InputError
from local_hub.controls.faults import ONCE, FaultKind
from local_hub.controls.snapshots import Snapshot, Snapshots
from local_hub.hub import Hub

__all__ = ["Controls", "control_routes"]

LINES_DEFAULT = 100
_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What reaches beyond the hub's core: its clocks, and exchanging its data."""

    clock: OffsetClock
    token_clock: OffsetClock
    snapshots: Snapshots
    restore: Callable[[str], Awaitable[None]]
    reset: Callable[[bool], Awaitable[None]]


def control_routes(hub: Hub, controls: Controls) -> dict[tuple[str, str], _Handler]:
    """Handlers by verb and path; each raises InputError for what cannot be."""
    return {
        ("GET", "/clock"): partial(_get_clock, controls),
        ("POST", "/clock"): partial(_post_clock, controls),
        ("DELETE", "/clock"): partial(_delete_clock, controls),
        ("GET", "/faults"): partial(_get_faults, hub),
        ("POST", "/faults"): partial(_post_fault, hub),
        ("DELETE", "/faults"): partial(_delete_faults, hub),
        ("GET", "/log"): partial(_get_log, hub),
        ("GET", "/snapshots"): partial(_get_snapshots, controls),
        ("POST", "/snapshots"): partial(_post_snapshot, hub, controls),
        ("DELETE", "/snapshots"): partial(_delete_snapshot, controls),
        ("POST", "/snapshots/restore"): partial(_post_restore, controls),
        ("POST", "/reset"): partial(_post_reset, controls),
    }


async def _get_clock(controls: Controls, _request: web.BaseRequest) -> web.Response:
    return _told(controls)


async def _post_clock(controls: Controls, request: web.BaseRequest) -> web.Response:
    body = await _body(request, {"advanceSeconds", "tokens"})
    seconds, tokens = _number(body, "advanceSeconds", None), _flag(body, "tokens")
    if seconds is None:
        raise InputError("advanceSeconds must say by how much")
    controls.clock.advance(seconds)
    if tokens:
        controls.token_clock.advance(seconds)
    return _told(controls)


async def _delete_clock(controls: Controls, _request: web.BaseRequest) -> web.Response:
    controls.clock.reset()
    controls.token_clock.reset()
    return _told(controls)


def _told(controls: Controls) -> web.Response:
    offsets = {"offsetSeconds": controls.clock.offset, "tokensOffsetSeconds": controls.token_clock.offset}
    return _json({"now": iso(controls.clock.now()), **offsets})


async def _get_faults(hub: Hub, _request: web.BaseRequest) -> web.Response:
    return _json([fault.document(hub.clock) for fault in hub.admission.faults.list()])


async def _post_fault(hub: Hub, request: web.BaseRequest) -> web.Response:
    body = await _body(request, {"kind", "device", "forSeconds", "rate", "delayMs"})
    device, rate, delay = body.get("device"), _number(body, "rate", 1.0), _number(body, "delayMs", 0.0)
    if not isinstance(device, str | None):
        raise InputError("device must be a text")
    kind = _kind(body.get("kind"))
    fault = hub.admission.faults.add(
        kind,
        device,
        rate=1.0 if rate is None else rate,
        delay_s=(delay or 0.0) / 1000,
        for_s=_number(body, "forSeconds", None),
    )
    if kind in ONCE:
        _strike(hub, kind, device)
    return _json(fault.document(hub.clock))


def _strike(hub: Hub, kind: FaultKind, device: str | None) -> None:
    """What happens at once."""
    for identity in hub.sessions.of_device(device):
        if kind is FaultKind.TAKEOVER:
            hub.sessions.take_over(identity)
        else:
            hub.sessions.end(identity, "cut by a fault")


def _kind(value: Any) -> FaultKind:
    try:
        return FaultKind(value)
    except ValueError:
        raise InputError(f"{str(value)[:40]!r} is no fault: use one of {', '.join(FaultKind)}") from None


async def _delete_faults(hub: Hub, request: web.BaseRequest) -> web.Response:
    return _json({"cleared": hub.admission.faults.clear(request.query.get("device"))})


async def _get_log(hub: Hub, request: web.BaseRequest) -> web.Response:
    text = request.query.get("last", str(LINES_DEFAULT))
    if not text.isascii() or not text.isdigit():
        raise InputError("last must be a whole number")
    return _json(hub.traffic_log.lines(request.query.get("device"), int(text)))


async def _get_snapshots(controls: Controls, _request: web.BaseRequest) -> web.Response:
    return _json([_document(snapshot) for snapshot in controls.snapshots.list()])


async def _post_snapshot(hub: Hub, controls: Controls, request: web.BaseRequest) -> web.Response:
    name = _name(await _body(request, {"name"}))
    return _json(_document(await controls.snapshots.save(hub.store, name)))


async def _delete_snapshot(controls: Controls, request: web.BaseRequest) -> web.Response:
    controls.snapshots.delete(request.query.get("name", ""))
    return _json({})


async def _post_restore(controls: Controls, request: web.BaseRequest) -> web.Response:
    await controls.restore(_name(await _body(request, {"name"})))
    return _json({})


async def _post_reset(controls: Controls, request: web.BaseRequest) -> web.Response:
    await controls.reset(_flag(await _body(request, {"keys"}), "keys"))
    return _json({})


def _document(snapshot: Snapshot) -> _Body:
    return {"name": snapshot.name, "saved": iso(snapshot.saved), "size": snapshot.size}


async def _body(request: web.BaseRequest, names: set[str]) -> _Body:
    """The JSON object in the body, empty when there is none; InputError for names beside those."""
    content = await request.read() or b"{}"
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError("the body must be a JSON object")
    if unknown := value.keys() - names:
        raise InputError(f"{min(unknown)[:80]!r} means nothing here: there are {', '.join(sorted(names))}")
    return value


def _name(body: _Body) -> str:
    name = body.get("name")
    if not isinstance(name, str):
        raise InputError("name must be a text")
    return name


def _number(body: _Body, name: str, default: float | None) -> float | None:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise InputError(f"{name} must be a number")
    return value


def _flag(body: _Body, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false")
    return value


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
