"""Devices, modules, bulk changes and statistics (REST reference, "Devices", "Modules", "Registry statistics")."""

from __future__ import annotations

import contextlib

from iot_core.hub_errors import hub_error
from iot_core.limits import LIST_DEVICES_MAX
from local_hub.fronts.rest.call import Call, Reply, etag_header

__all__: list[str] = []


async def list_devices(call: Call) -> Reply:
    """All devices up to ``top``; a ``top`` outside 1..1000 means 1000."""
    top = LIST_DEVICES_MAX
    with contextlib.suppress(ValueError):
        top = int(call.query.get("top", top))
    return Reply(body=call.hub.registry.list_devices(top if 1 <= top <= LIST_DEVICES_MAX else LIST_DEVICES_MAX))


async def bulk(call: Call) -> Reply:
    """Change up to 100 identities or twins; 400 with the same result shape when any of them failed."""
    items = call.json()
    if not isinstance(items, list):
        raise hub_error("ArgumentInvalid", "The body must be a JSON array of devices.")
    result = await call.hub.registry.bulk(items)
    return Reply(status=200 if result["isSuccessful"] else 400, body=result)


async def regenerate_keys(call: Call) -> Reply:
    """New keys for up to 100 devices and modules, as the Azure CLI asks for them."""
    return Reply(body=await call.hub.registry.regenerate_keys(call.json_object()))


async def get_device(call: Call) -> Reply:
    body = call.hub.registry.get_device(call.identity.device_id)
    return Reply(body=body, headers=etag_header(body))


async def put_device(call: Call) -> Reply:
    body = await call.hub.registry.put_device(call.identity.device_id, call.json_object(), call.if_match)
    return Reply(body=body, headers=etag_header(body))


async def delete_device(call: Call) -> Reply:
    await call.hub.registry.delete_device(call.identity.device_id, call.if_match)
    return Reply(status=204)


async def list_modules(call: Call) -> Reply:
    return Reply(body=call.hub.registry.list_modules(call.identity.device_id))


async def get_module(call: Call) -> Reply:
    body = call.hub.registry.get_module(call.identity)
    return Reply(body=body, headers=etag_header(body))


async def put_module(call: Call) -> Reply:
    body = await call.hub.registry.put_module(call.identity, call.json_object(), call.if_match)
    return Reply(body=body, headers=etag_header(body))


async def delete_module(call: Call) -> Reply:
    await call.hub.registry.delete_module(call.identity, call.if_match)
    return Reply(status=204)


async def apply_configuration_content(call: Call) -> Reply:
    """Write a deployment's content to one edge device at once."""
    await call.hub.configurations.apply_content(call.identity.device_id, call.json_object())
    return Reply(status=204)


async def device_statistics(call: Call) -> Reply:
    return Reply(body=call.hub.registry.statistics())


async def service_statistics(call: Call) -> Reply:
    return Reply(body={"connectedDeviceCount": call.hub.sessions.connected_count})
