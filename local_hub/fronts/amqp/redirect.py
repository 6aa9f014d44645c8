"""From the hub's own name to its Event Hubs-compatible endpoint: clients that attach to ``messages/events…`` are told
where to go (``amqp:link:redirect``; OASIS AMQP 1.0 part 2, section 2.8.18, and IoT Hub's samples for its SDKs).
"""

from __future__ import annotations

from iot_core.amqp import ErrorCondition, errors
from iot_core.amqp.types import Symbol, UShort
from iot_core.amqp_addresses import HubEvents
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.node import RefusedLinkError

__all__ = ["redirect_of"]


def redirect_of(client: Client, address: HubEvents) -> RefusedLinkError:
    """What to answer a client that attaches to the hub's events."""
    host, port = client.host.partition(":")[0], client.hub.config.amqp_port
    path = "/".join(filter(None, (client.hub.event_hub.name, address.rest)))
    info = {
        Symbol("hostname"): host,
        Symbol("network-host"): host,
        Symbol("port"): UShort(port),
        Symbol("address"): f"amqps://{host}:{port}/{path}",
    }
    text = "The built-in endpoint is read as an Event Hub: attach to the address in this error."
    return RefusedLinkError(ErrorCondition(condition=errors.LINK_REDIRECT, description=text, info=info))
