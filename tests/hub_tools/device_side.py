"""What a device does with its cloud-to-device messages, by HTTPS."""

from __future__ import annotations

import asyncio
import time

from hub_tools.replies import Reply
from hub_tools.rest import RestHubService
from iot_core import sas

__all__ = ["fetch"]


async def fetch(service: RestHubService, device_id: str) -> Reply:
    """The device waits for its oldest message and completes it; the reply that brought it."""
    keys = (await service.get_device(device_id))["authentication"]["symmetricKey"]
    host = service.host_name.partition(":")[0]
    token = sas.sign(f"{host}/devices/{device_id}", keys["primaryKey"], int(time.time()) + 60)
    path, headers = f"/devices/{device_id}/messages/devicebound", {"Authorization": token}
    while (reply := await service.exchange("GET", path, authorized=False, headers=headers)).status == 204:
        await asyncio.sleep(0.02)
    lock = (reply.header("etag") or "").strip('"')
    done = await service.exchange("DELETE", f"{path}/{lock}", authorized=False, headers=headers)
    assert (reply.status, done.status) == (200, 204)
    return reply
