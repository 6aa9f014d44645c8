"""What services do about cloud-to-device messages over HTTPS: purge queues, receive feedback (REST reference, "Cloud To
Device Messages"). Sending is AMQP's alone.
"""

from __future__ import annotations

from iot_core.clock import iso
from local_hub.c2d.feedback import CONTENT_TYPE
from local_hub.fronts.rest.call import Call, Reply

__all__: list[str] = []


async def purge(call: Call) -> Reply:
    device_id = call.identity.device_id
    count = await call.hub.c2d.purge(device_id)
    return Reply(body={"totalMessagesPurged": count, "deviceId": device_id, "moduleId": None})


async def receive_feedback(call: Call) -> Reply:
    """The oldest batch that is free, its lock token in ``ETag``; 204 when there is none."""
    batch = await call.hub.c2d.feedback.receive()
    if batch is None:
        return Reply(status=204)
    headers = {
        "ETag": f'"{batch.lock_token}"',
        "Content-Type": CONTENT_TYPE,
        "iothub-userid": call.hub.config.hub_name,
        "iothub-enqueuedtime": iso(batch.enqueued),
        "iothub-deliverycount": str(batch.delivery_count),
        "iothub-sequencenumber": str(batch.sequence),
    }
    return Reply(content=batch.body, headers=headers)


async def complete_feedback(call: Call) -> Reply:
    await call.hub.c2d.feedback.complete(call.params["lock"])
    return Reply(status=204)


async def abandon_feedback(call: Call) -> Reply:
    await call.hub.c2d.feedback.abandon(call.params["lock"])
    return Reply(status=204)
