"""The AMQP front: links of services and devices, and the Event Hubs-compatible endpoint, on one port.

`AmqpFront` is where to begin; what a link is for is a `Node`, one file each.
"""

from __future__ import annotations

from local_hub.fronts.amqp.front import AmqpFront

__all__ = ["AmqpFront"]
