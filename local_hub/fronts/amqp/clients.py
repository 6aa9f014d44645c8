"""One client: its connection, what it may do, and the work that goes on for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from iot_core.amqp import Link, Sender, error_condition, errors
from iot_core.errors import HubError, InputError
from iot_core.identity import Identity
from local_hub.controls.faults import CutError, LostError
from local_hub.controls.throttles import Operation
from local_hub.dps.attestation import Attempt
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.grants import Grants
from local_hub.fronts.amqp.node import Node
from local_hub.fronts.amqp.tpm_login import TpmLogin
from local_hub.hub import Hub
from transport.amqp_server import AmqpServerProtocol

__all__ = ["Client"]

LOGIN_WITHIN_S = 60.0
"""A client shows a token or a certificate within this time; SDKs do it in the first second."""

_log = logging.getLogger(__name__)


class Client:
    """A connection with its tokens and links. ``devices`` are those that have links here.

    ``attempt`` is the device that has logged in to be provisioned, ``tpm_login`` one that is about to.
    """

    def __init__(self, hub: Hub, connection: AmqpServerProtocol) -> None:
        self.hub = hub
        self.connection = connection
        self.grants = Grants(hub, connection.peer_chain_der, self.end_link)
        self.devices: dict[Identity, AmqpDevice] = {}
        self.attempt: Attempt | None = None
        self.tpm_login: TpmLogin | None = None
        self._connecting: set[Identity] = set()
        self._links: dict[Link, Node] = {}
        self._device_of: dict[Link, AmqpDevice] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Lock()
        self._deadline = asyncio.get_running_loop().call_later(LOGIN_WITHIN_S, self._require_login)

    @property
    def host(self) -> str:
        """The name that the client calls this hub by."""
        opened = self.connection.peer_open
        return (opened.hostname if opened else None) or self.hub.config.client_host

    def add(self, link: Link, node: Node) -> None:
        """A link that was let in."""
        self._links[link] = node

    def add_to(self, device: AmqpDevice, link: Link) -> None:
        """A link of a device that was let in."""
        self.devices[device.identity] = device
        self._device_of[link] = device
        device.add(link)

    def node_of(self, link: Link) -> Node | None:
        """What a link is for; None once it is over."""
        return self._links.get(link)

    def senders(self, kind: type[Node]) -> Iterator[Sender]:
        """The links to the client of one kind of node."""
        for link, node in self._links.items():
            if isinstance(node, kind) and isinstance(link, Sender):
                yield link

    def end_link(self, link: Link, error: HubError) -> None:
        """Detach a link and say why; its node hears at once that it is over."""
        self.over(link)
        link.send_detach(condition_of(error))

    def over(self, link: Link) -> None:
        """A link is over; what it holds is let go of."""
        self.grants.forget(link)
        node = self._links.pop(link, None)
        if node is not None:
            node.ended()
        device = self._device_of.pop(link, None)
        if device is not None:
            device.remove(link)
            if not device.links:
                self.devices.pop(device.identity, None)

    def close(self) -> None:
        """The connection is over."""
        self._deadline.cancel()
        for link in list(self._links):
            self.over(link)
        self.grants.close()

    def _require_login(self) -> None:
        if not self.grants and not self.devices and self.attempt is None:
            text = f"No token was put within {LOGIN_WITHIN_S:g} s."
            self.connection.close(error_condition(errors.UNAUTHORIZED_ACCESS, text))

    @property
    def is_unhindered(self) -> bool:
        """Whether what comes in now may pass without being asked about, and nothing waits that came before it."""
        return self.hub.admission.idle and not self._gate.locked()

    async def admit(self, device_id: str | None, operation: Operation | None, *sizes: int) -> None:
        """Hold what has come in for as long as faults and throttles want, one after another, in the order it came;
        messages of so many bytes each together. ``device_id`` None: what concerns no single device.

        HubError when one is refused; LostError when they are to vanish, also with the connection.
        """
        if self.is_unhindered:
            return
        async with self._gate:
            try:
                for size in sizes:
                    await self.hub.admission.admit(device_id, operation, size)
            except CutError as error:
                self.connection.abort(str(error))
                raise LostError(str(error)) from error

    async def admit_link(self, identity: Identity | None) -> None:
        """Hold a link that is attached; the first one of a device counts as a new connection, as over MQTT.

        ``identity`` None: a service's, or one for tokens. HubError and LostError as for ``admit``.
        """
        if identity is None or identity in self.devices or identity in self._connecting:
            await self.admit(identity.device_id if identity else None, None, 0)
            return
        self._connecting.add(identity)
        try:
            await self.admit(identity.device_id, Operation.CONNECTION, 0)
        finally:
            self._connecting.discard(identity)

    def send(self, device_id: str | None, send: Callable[[], None]) -> None:
        """Send what the hub sends of its own accord, to a device or a service (None); faults may delay it or let it
        vanish.
        """
        self.hub.admission.faults.let_go(device_id, send)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do work that outlasts a callback; what it raises is logged."""
        task = asyncio.create_task(_logged(work))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def drained(self) -> None:
        """Wait until the core has taken everything that was sent."""
        await asyncio.gather(*self._work)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (HubError, InputError, LostError) as error:
        _log.info("not done: %s", error)
    except Exception:
        _log.exception("work of an AMQP link failed")
