"""Every route of the REST API: what is allowed to call it, which envelope its errors have, and who answers it.

Literal segments match without regard to case (clients mix ``serviceBound`` and ``servicebound``), ids exactly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from iot_core.dps import Kind
from local_hub.auth.authenticator import Principal
from local_hub.auth.permissions import Permission
from local_hub.fronts.envelopes import Envelope
from local_hub.fronts.rest import (
    configurations,
    device_bound,
    device_messages,
    digital_twins,
    files,
    identities,
    jobs,
    provisioning,
    transfers,
    twins,
    websocket,
)
from local_hub.fronts.rest.call import Call, Reply
from local_hub.hub import Hub

__all__ = ["ROUTES", "Handler", "Match", "Route", "allowed_methods", "match", "segments_of"]

Handler = Callable[[Call], Awaitable[Reply]]
Guard = Callable[[Hub, str, str, tuple[bytes, ...]], Principal]
"""Hub, token, resource and certificates → who calls; HubError 401 for whoever may not."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One verb of one path; ``{name}`` segments are ids."""

    verb: str
    path: str
    permission: Permission
    handler: Handler
    envelope: Envelope = Envelope.REGISTRY
    guard: Guard | None = None
    """Judges callers in place of ``permission``, for what is not the hub's."""

    @property
    def pattern(self) -> tuple[str, ...]:
        return tuple(self.path.strip("/").split("/"))


@dataclass(frozen=True, kw_only=True)
class Match:
    """A route and the ids that the path gave it."""

    route: Route
    params: Mapping[str, str]


def segments_of(raw_path: str) -> tuple[str, ...]:
    """The segments of a path as it came on the wire, each percent-decoded once; a trailing slash does not count."""
    return tuple(unquote(segment) for segment in raw_path.partition("?")[0].removesuffix("/").split("/")[1:])


def match(verb: str, segments: tuple[str, ...]) -> Match | None:
    """The route for ``verb`` and a path; the one with more literal segments wins (``/jobs/v2/query``)."""
    return next((found for route in _BY_VERB.get(verb, ()) if (found := _try(route, segments))), None)


def allowed_methods(segments: tuple[str, ...]) -> tuple[str, ...]:
    """The verbs that a path knows, sorted; empty for an unknown path."""
    return tuple(sorted({route.verb for route in ROUTES if _try(route, segments)}))


def _try(route: Route, segments: tuple[str, ...]) -> Match | None:
    pattern = route.pattern
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, given in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            params[wanted[1:-1]] = given
        elif wanted.lower() != given.lower():
            return None
    return Match(route=route, params=params) if all(params.values()) else None


def _route(
    verb: str,
    path: str,
    permission: Permission,
    handler: Handler,
    envelope: Envelope = Envelope.REGISTRY,
) -> Route:
    return Route(verb=verb, path=path, permission=permission, handler=handler, envelope=envelope)


def _provisioning(guard: Guard, handlers: Mapping[tuple[str, str], Handler]) -> tuple[Route, ...]:
    return tuple(
        Route(
            verb=verb,
            path=path,
            permission=Permission(0),
            envelope=Envelope.PROVISIONING,
            handler=handler,
            guard=guard,
        )
        for (verb, path), handler in handlers.items()
    )


def _enrollments(path: str, kind: Kind) -> dict[tuple[str, str], Handler]:
    return {
        ("POST", path): provisioning.bulk(kind),
        ("POST", f"{path}/query"): provisioning.query(kind),
        ("GET", f"{path}/{{id}}"): provisioning.get(kind),
        ("PUT", f"{path}/{{id}}"): provisioning.put(kind),
        ("DELETE", f"{path}/{{id}}"): provisioning.delete(kind),
        ("POST", f"{path}/{{id}}/attestationmechanism"): provisioning.attestation(kind),
    }


_READ, _WRITE = Permission.REGISTRY_READ, Permission.REGISTRY_WRITE
_SERVICE, _DEVICE = Permission.SERVICE_CONNECT, Permission.DEVICE_CONNECT
_A, _B, _C = Envelope.REGISTRY, Envelope.PLAIN, Envelope.NESTED

_D, _M = "/devices/{device}", "/devices/{device}/modules/{module}"
_TWIN, _MODULE_TWIN = "/twins/{device}", "/twins/{device}/modules/{module}"
_BOUND, _FEEDBACK = "/devices/{device}/messages/deviceBound", "/messages/serviceBound/feedback"
_DIGITAL = "/digitaltwins/{device}"
_COMPONENT_COMMAND = f"{_DIGITAL}/components/{{component}}/commands/{{command}}"

_INDIVIDUAL, _GROUP = "/enrollments", "/enrollmentGroups"
_REGISTRATION = "/{scope}/registrations/{registration}"
_PROVISIONING_DEVICE: dict[tuple[str, str], Handler] = {
    ("PUT", f"{_REGISTRATION}/register"): provisioning.register,
    ("GET", f"{_REGISTRATION}/operations/{{operation}}"): provisioning.get_operation,
    ("POST", _REGISTRATION): provisioning.look_up,
}
_PROVISIONING_SERVICE: dict[tuple[str, str], Handler] = {
    **_enrollments(_INDIVIDUAL, Kind.INDIVIDUAL),
    **_enrollments(_GROUP, Kind.GROUP),
    ("GET", "/registrations/{id}"): provisioning.get_registration,
    ("DELETE", "/registrations/{id}"): provisioning.delete_registration,
    ("POST", "/registrations/{id}/query"): provisioning.query_registrations,
}

ROUTES: tuple[Route, ...] = (
    _route("GET", "/devices", _READ, identities.list_devices),
    _route("POST", "/devices", _WRITE, identities.bulk),
    _route("POST", "/devices/keys/regenerate", _WRITE, identities.regenerate_keys),
    _route("GET", _D, _READ, identities.get_device),
    _route("PUT", _D, _WRITE, identities.put_device),
    _route("DELETE", _D, _WRITE, identities.delete_device),
    _route("GET", "/devices/{device}/modules", _READ, identities.list_modules, _B),
    _route("GET", _M, _READ, identities.get_module, _B),
    _route("PUT", _M, _WRITE, identities.put_module, _B),
    _route("DELETE", _M, _WRITE, identities.delete_module, _B),
    _route("POST", f"{_D}/applyConfigurationContent", _WRITE, identities.apply_configuration_content),
    _route("GET", "/statistics/devices", _READ, identities.device_statistics),
    _route("GET", "/statistics/service", _READ, identities.service_statistics),
    _route("POST", "/devices/query", _SERVICE, twins.query),
    _route("GET", _TWIN, _SERVICE, twins.get_twin),
    _route("PATCH", _TWIN, _SERVICE, twins.patch_twin),
    _route("PUT", _TWIN, _SERVICE, twins.replace_twin),
    _route("GET", _MODULE_TWIN, _SERVICE, twins.get_twin, _B),
    _route("PATCH", _MODULE_TWIN, _SERVICE, twins.patch_twin, _B),
    _route("PUT", _MODULE_TWIN, _SERVICE, twins.replace_twin, _B),
    _route("POST", f"{_TWIN}/methods", _SERVICE, twins.invoke_method, _C),
    _route("POST", f"{_MODULE_TWIN}/methods", _SERVICE, twins.invoke_method, _C),
    _route("GET", "/jobs/v2/query", _SERVICE, jobs.query_jobs),
    _route("PUT", "/jobs/v2/{job}", _SERVICE, jobs.create_job),
    _route("GET", "/jobs/v2/{job}", _SERVICE, jobs.get_job),
    _route("POST", "/jobs/v2/{job}/cancel", _SERVICE, jobs.cancel_job),
    _route("DELETE", f"{_D}/commands", _SERVICE, device_bound.purge),
    _route("GET", _FEEDBACK, _SERVICE, device_bound.receive_feedback),
    _route("DELETE", f"{_FEEDBACK}/{{lock}}", _SERVICE, device_bound.complete_feedback),
    _route("POST", f"{_FEEDBACK}/{{lock}}/abandon", _SERVICE, device_bound.abandon_feedback),
    _route("POST", f"{_D}/messages/events", _DEVICE, device_messages.send_event),
    _route("GET", _BOUND, _DEVICE, device_messages.receive),
    _route("DELETE", f"{_BOUND}/{{lock}}", _DEVICE, device_messages.complete_or_reject),
    _route("POST", f"{_BOUND}/{{lock}}/abandon", _DEVICE, device_messages.abandon),
    _route("GET", "/configurations", _READ, configurations.list_configurations),
    _route("POST", "/configurations/testQueries", _READ, configurations.test_queries),
    _route("GET", "/configurations/{id}", _READ, configurations.get_configuration),
    _route("PUT", "/configurations/{id}", _WRITE, configurations.put_configuration),
    _route("DELETE", "/configurations/{id}", _WRITE, configurations.delete_configuration),
    _route("POST", "/jobs/create", _WRITE, transfers.create_transfer),
    _route("GET", "/jobs", _WRITE, transfers.list_transfers),
    _route("GET", "/jobs/{job}", _WRITE, transfers.get_transfer),
    _route("DELETE", "/jobs/{job}", _WRITE, transfers.cancel_transfer),
    _route("GET", _DIGITAL, _SERVICE, digital_twins.get_digital_twin),
    _route("PATCH", _DIGITAL, _SERVICE, digital_twins.patch_digital_twin),
    _route("POST", f"{_DIGITAL}/commands/{{command}}", _SERVICE, digital_twins.invoke_command, _C),
    _route("POST", _COMPONENT_COMMAND, _SERVICE, digital_twins.invoke_command, _C),
    _route("POST", f"{_D}/files", _DEVICE, files.begin),
    _route("POST", f"{_D}/files/notifications", _DEVICE, files.end),
    _route("POST", f"{_D}/files/notifications/{{correlation}}", _DEVICE, files.end),
    _route("GET", "/$iothub/websocket", _DEVICE, websocket.upgrade),
    _route("GET", "/$servicebus/websocket", _SERVICE, websocket.upgrade),
    *_provisioning(provisioning.device, _PROVISIONING_DEVICE),
    *_provisioning(provisioning.service, _PROVISIONING_SERVICE),
)


def _by_verb() -> dict[str, tuple[Route, ...]]:
    """Routes of each verb, those with fewer ids first."""
    ordered = sorted(ROUTES, key=lambda route: route.path.count("{"))
    return {verb: tuple(route for route in ordered if route.verb == verb) for verb in {r.verb for r in ROUTES}}


_BY_VERB = _by_verb()
