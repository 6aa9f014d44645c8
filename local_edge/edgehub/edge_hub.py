"""The edge hub as a whole: routes what modules send, keeps it until it arrived, brings twins and methods to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Sequence
from typing import Any

from iot_core import topics
from iot_core.clock import Clock
from iot_core.message import Message
from iot_core.topics import Subscription
from local_edge.config import EdgeConfig
from local_edge.edgehub.clients import ClientGoneError, Clients
from local_edge.edgehub.config_keeper import OWN, ConfigKeeper
from local_edge.edgehub.front import EdgeHubFront
from local_edge.edgehub.login import LoginRules
from local_edge.edgehub.messages import Delivery, MessageStore, QueuedMessage
from local_edge.edgehub.methods import MethodCall, MethodTimeoutError, ModuleAbsentError, ModuleMethods
from local_edge.edgehub.pump import Pump
from local_edge.edgehub.routes import DEFAULT_CONFIG, UPSTREAM, EdgeHubConfig, deliveries
from local_edge.edgehub.subscriptions import SubscriptionStore
from local_edge.edgehub.twin_changes import twin_change
from local_edge.edgehub.twin_service import TwinService
from local_edge.edgehub.twins import TwinStore
from local_edge.errors import UpstreamError
from local_edge.keys import KeyStore
from local_edge.upstream import UpstreamLink
from transport.store import Store

__all__ = ["EdgeHub"]

CLEANUP_PERIOD_S = 1800.0
"""Seconds between removals of expired messages (the edge hub's MessageCleanupIntervalSecs)."""

_STAMPED = ("connectionDeviceId", "connectionModuleId")
"""What the edge hub says about the sender, whatever the sender says."""

_log = logging.getLogger(__name__)


class EdgeHub:
    """See the module. `login` and `methods` also serve the HTTPS gateway."""

    def __init__(self, config: EdgeConfig, *, store: Store, keys: KeyStore, clock: Clock, tls: ssl.SSLContext) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._tls = tls
        self._clients = Clients()
        self._messages = MessageStore(store)
        self._links: dict[str, UpstreamLink] = {}
        self._pumps: dict[str, Pump] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        twins = TwinStore(store)
        self._twins = TwinService(twins, self._clients, link_of=self.link, quiet=self._module_quiet)
        self._hub_config = DEFAULT_CONFIG
        self._keeper = ConfigKeeper(link=lambda: self.link(OWN), twins=twins, clock=clock, apply=self._apply)
        self.methods = ModuleMethods(self._clients)
        self.login = LoginRules(device=config.device_id, hosts=(config.hub_host, config.host), keys=keys, clock=clock)
        self.front = EdgeHubFront(
            login=self.login,
            clients=self._clients,
            subscriptions=SubscriptionStore(store),
            traffic=self,
            clock=clock,
        )

    @property
    def keeper(self) -> ConfigKeeper:
        return self._keeper

    def start(self) -> None:
        """Take up what waited on disk."""
        self._keeper.load()
        for endpoint in self._messages.endpoints():
            self._pump(endpoint)
        self.link(OWN).open()
        self._spawn(self._keeper.run())
        self._spawn(self._clean_up())

    async def stop(self) -> None:
        """Store what is coming in, then leave."""
        await self.front.stop()
        await self._twins.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pump in self._pumps.values():
            await pump.close()
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def busy_modules(self) -> set[str]:
        """Modules from which something still waits to go upstream."""
        waiting = {
            endpoint.partition("/")[2] for endpoint in self._messages.endpoints() if endpoint.startswith(UPSTREAM)
        }
        return waiting | {module for module in self._keys.modules if self._twins.has_unsent(module)}

    def forget(self, module: str) -> None:
        """The identity of `module` is gone."""
        client = self._clients.get(module)
        if client is not None:
            client.close("the module's identity was removed")
        link = self._links.pop(module, None)
        if link is not None:
            self._spawn(link.close())
        self._spawn(self._twins.forget(module))

    # -- what modules send (front.ModuleTraffic)

    async def telemetry(self, module: str, message: Message) -> None:
        """Return once the message is stored for every endpoint that a route chose; without one it is dropped."""
        stamp = dict(zip(_STAMPED, (self._config.device_id, module), strict=True))
        message = Message(message.body, message.properties, {**message.system, **stamp})
        chosen = deliveries(self._hub_config, module, message)
        if not chosen:
            _log.debug("a message of module %s matches no route", module)
            return
        await self._keep(module, message, chosen)

    async def _keep(self, sender: str, message: Message, chosen: Sequence[Delivery]) -> None:
        await self._messages.add(sender, message, chosen, self._clock.now())
        for delivery in chosen:
            self._pump(delivery.endpoint).wake()

    async def twin(self, module: str) -> dict[str, Any]:
        return await self._twins.get(module)

    async def reported(self, module: str, patch: dict[str, Any]) -> None:
        """Return once the patch is stored, and told to everyone whom a route of twin changes names."""
        await self._twins.reported(module, patch)
        change = twin_change(self._hub_config, self._config.device_id, module, patch)
        if change.deliveries:
            await self._keep(change.sender, change.message, change.deliveries)

    def module_changed(self, module: str) -> None:
        client = self._clients.get(module)
        link = self.link(module)
        self._keeper.saw(f"{self._config.device_id}/{module}", client is not None)
        if client is not None:
            link.open()
        self._spawn(link.accept_methods(client is not None and client.subscribed(Subscription.METHODS)))
        self._module_quiet(module)

    # -- upstream

    def link(self, module: str) -> UpstreamLink:
        """The connection of `module` to the hub; it comes up when a module connects or has something to send."""
        if module not in self._links:
            self._links[module] = UpstreamLink(
                self._config.identity(module),
                config=self._config,
                key=lambda: entry.key if (entry := self._keys.get(module)) else None,
                clock=self._clock,
                tls=self._tls,
                listener=_ModuleListener(self, module),
            )
        return self._links[module]

    async def call_method(self, module: str, name: str, payload: bytes) -> tuple[int, bytes]:
        """A method call from the hub."""
        try:
            return await self.methods.invoke(module, MethodCall(name=name, payload=payload, response_timeout_s=300))
        except ModuleAbsentError as error:
            return 404, json.dumps({"message": str(error)}).encode()
        except MethodTimeoutError as error:
            return 504, json.dumps({"message": str(error)}).encode()

    def link_up(self, module: str) -> None:
        if module == OWN:
            self._keeper.link_up()
        else:
            self._twins.link_up(module)

    def desired_patch(self, module: str, patch: dict[str, Any]) -> None:
        if module == OWN:
            self._keeper.desired_patch(patch)
        else:
            self._twins.desired_patch(module, patch)

    def _module_quiet(self, module: str) -> None:
        """Something that kept the link of `module` open may be over."""
        if self._clients.get(module) is None:
            self._spawn(self._close_idle(module))

    async def _close_idle(self, module: str) -> None:
        """Leave the hub for a module that went away and of which nothing waits: the hub shows it as disconnected."""
        link = self._links.get(module)
        if link is None or module == OWN or self._clients.get(module) or module in self.busy_modules():
            return
        await link.close()

    # -- routes and queues

    def _apply(self, config: EdgeHubConfig) -> None:
        self._hub_config = config
        _log.info("configuration %d of %s: %d routes", config.version, OWN, len(config.routes))
        self._spawn(self._drop_unrouted(config))

    async def _drop_unrouted(self, config: EdgeHubConfig) -> None:
        """The queue of an input goes when no route names it any more, as in the real edge hub."""
        for endpoint in self._messages.endpoints():
            if endpoint.startswith(UPSTREAM) or endpoint in config.inputs:
                continue
            pump = self._pumps.pop(endpoint, None)
            if pump is not None:
                await pump.close()
            _log.warning(
                "%d messages for %s dropped: no route", await self._messages.remove_endpoint(endpoint), endpoint
            )

    def _pump(self, endpoint: str) -> Pump:
        if endpoint not in self._pumps:
            head, _, tail = endpoint.partition("/")
            send = _UpstreamSender(self, tail) if head == UPSTREAM else _InputSender(self._clients, head, tail)
            self._pumps[endpoint] = Pump(endpoint, self._messages, send, self._clock)
        return self._pumps[endpoint]

    async def send_upstream(self, module: str, batch: Sequence[QueuedMessage]) -> list[int]:
        """Publish a batch on the module's own connection, in order; the ids that the hub acknowledged."""
        link = self.link(module)
        link.open()
        await link.up()
        identity = self._config.identity(module)
        results = await asyncio.gather(
            *(
                link.publish(topics.telemetry(identity, _without(item.message, *_STAMPED)), item.message.body)
                for item in batch
            ),
            return_exceptions=True,
        )
        arrived = [item.id for item, result in zip(batch, results, strict=True) if result is None]
        unexpected = [result for result in results if result is not None and not isinstance(result, UpstreamError)]
        if unexpected:
            raise unexpected[0]
        self._module_quiet(module)
        return arrived

    async def _clean_up(self) -> None:
        while True:
            await asyncio.sleep(CLEANUP_PERIOD_S)
            gone = await self._messages.remove_expired(self._clock.now())
            if gone:
                _log.info("%d messages were past their time to live", gone)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _ModuleListener:
    """The `LinkListener` of one module's link."""

    def __init__(self, hub: EdgeHub, module: str) -> None:
        self._hub = hub
        self._module = module

    def link_up(self) -> None:
        self._hub.link_up(self._module)

    def desired_patch(self, patch: dict[str, Any]) -> None:
        self._hub.desired_patch(self._module, patch)

    async def method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        return await self._hub.call_method(self._module, name, payload)


class _UpstreamSender:
    """The `Send` of the queue of one module towards the hub."""

    def __init__(self, hub: EdgeHub, module: str) -> None:
        self._hub = hub
        self._module = module

    async def __call__(self, batch: Sequence[QueuedMessage]) -> list[int]:
        return await self._hub.send_upstream(self._module, batch)


class _InputSender:
    """The `Send` of one input: one message after the other, each acknowledged by the module."""

    def __init__(self, clients: Clients, module: str, input_name: str) -> None:
        self._clients = clients
        self._module = module
        self._input = input_name

    async def __call__(self, batch: Sequence[QueuedMessage]) -> list[int]:
        arrived: list[int] = []
        with contextlib.suppress(ClientGoneError):
            for item in batch:
                client = await self._clients.ready(self._module, Subscription.INPUTS)
                await client.deliver(self._input, _without(item.message, "outputName"))
                arrived.append(item.id)
        return arrived


def _without(message: Message, *names: str) -> Message:
    """The message without these system properties."""
    system = {name: value for name, value in message.system.items() if name not in names}
    return Message(message.body, message.properties, system)
