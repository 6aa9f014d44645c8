"""Files on the admin door.

GET /files/notifications shows the notifications of uploads that no service has settled, oldest first, 100 at most
(``?most=N``): ``{"sequenceNumber", "deliveryCount", "locked", "notification": {"deviceId", "blobUri", …}}``. Looking
does not lock them.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from iot_core.hub_errors import hub_error
from local_hub.hub import Hub

__all__ = ["get_file_notifications"]

_MOST = 100
_MOST_ALLOWED = 10_000


async def get_file_notifications(hub: Hub, request: web.BaseRequest) -> web.Response:
    """See the module; HubError ArgumentInvalid."""
    most = request.query.get("most", str(_MOST))
    if not (most.isascii() and most.isdigit()) or not 1 <= int(most) <= _MOST_ALLOWED:
        raise hub_error("ArgumentInvalid", f"most must be from 1 to {_MOST_ALLOWED}.")
    found = [
        {
            "sequenceNumber": item.sequence,
            "deliveryCount": item.delivery_count,
            "locked": bool(item.lock_token),
            "notification": orjson.loads(item.body),
        }
        for item in await hub.files.notifications.waiting(int(most))
    ]
    return web.Response(body=orjson.dumps(found), content_type="application/json")
