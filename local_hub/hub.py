"""The hub's core: every part over one store, without a socket of its own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from iot_core.clock import Clock
from iot_core.errors import StoreError
from iot_core.identity import Identity
from iot_core.limits import TIERS
from local_hub.auth.authenticator import Authenticator
from local_hub.auth.authorities import Authorities
from local_hub.auth.policies import Policies
from local_hub.c2d.cloud_to_device import CloudToDevice
from local_hub.changes import Core
from local_hub.config import HubConfig
from local_hub.configurations.configurations import Configurations
from local_hub.controls.admission import Admission
from local_hub.controls.quota_record import QuotaRecord
from local_hub.controls.traffic_log import TrafficLog
from local_hub.digital_twins.digital_twins import DigitalTwins
from local_hub.documents import Documents
from local_hub.dps.provisioning import Provisioning
from local_hub.event_shapes import EventShapes
from local_hub.eventhub import EventHub
from local_hub.events import Event, EventStream
from local_hub.files.parts import FileUpload
from local_hub.home import HubHome
from local_hub.jobs.jobs import Jobs
from local_hub.jobs.pace import JobPace
from local_hub.jobs.runner import JobRunner
from local_hub.messaging import Messaging
from local_hub.methods import Methods
from local_hub.queries.indexes import QueryIndexes
from local_hub.queries.lag import QueryLag
from local_hub.queries.queries import Queries
from local_hub.registry.registry import Registry
from local_hub.routing import MessageRouting
from local_hub.rows import key
from local_hub.sessions import Sessions
from local_hub.transfer.container import SignedContainers
from local_hub.transfer.transfers import Transfers
from local_hub.twins.twins import Twins
from transport.store import Store

__all__ = ["Hub"]

# How long a thread that computes keeps the interpreter while others wait, in seconds. With Python's default of 5 ms a
# query in a reader thread would hold up the event loop for that long again and again.
SWITCH_INTERVAL_S = 1e-4

_log = logging.getLogger(__name__)


class Hub:
    """``start`` it, hand it to the fronts, ``stop`` it, then close the store."""

    def __init__(self, store: Store, clock: Clock, config: HubConfig, token_clock: Clock | None = None) -> None:
        self.store = store
        self.clock = clock
        self.token_clock = token_clock or clock
        self.config = config
        self.admission = Admission(clock, config)
        self._quota_record = QuotaRecord(store, self.admission.quota)
        self.traffic_log = TrafficLog(clock)
        self.events = EventStream()
        self.sessions = Sessions(clock, self._connection_changed)
        self._shapes = EventShapes(config.hub_name)
        self.event_hub = EventHub(store, clock, config.hub_name, config.retention, config.partitions)
        self.routing = MessageRouting(
            store,
            clock,
            self.event_hub,
            HubHome(config.home).routing,
            hub_name=config.hub_name,
            keep_s=config.retention.seconds,
        )
        core = Core(
            store=store,
            clock=clock,
            token_clock=self.token_clock,
            hub_name=config.hub_name,
            events=self.events,
            sessions=self.sessions,
            event_hub=self.event_hub,
            routing=self.routing,
        )
        self.c2d = CloudToDevice(store, clock, config.cloud_to_device)
        home = HubHome(config.home)
        self.files = FileUpload(
            store, clock, self.token_clock, home, config.file_upload, config.durability, self.admission.faults
        )
        documents = Documents(self.sessions, self.c2d.depths)
        self._query_lag = QueryLag(store, clock, config.query_lag_s)
        self.query_indexes = QueryIndexes(store)
        queries = Queries(store, documents, self._query_lag, self.query_indexes)
        self.policies = Policies(store)
        self.authorities = Authorities(store, clock)
        self.auth = Authenticator(store, self.token_clock, self.policies, self.authorities, config)
        self.twins = Twins(core, documents, self._shapes, queries)
        self.registry = Registry(core, documents, self._shapes, self.twins)
        self.provisioning = Provisioning(core, self.registry, self.twins, config, self.admission.faults)
        self.methods = Methods(core, self._shapes)
        self.digital_twins = DigitalTwins(core, self.twins, self.methods)
        self.messaging = Messaging(core, self._shapes)
        self.configurations = Configurations(
            core, self.registry, self.twins, documents, queries, tier=config.tier, cadence=config.cadence
        )
        containers = SignedContainers(home.bundle)
        self.transfers = Transfers(core, self.registry, self.twins, self.configurations, containers)
        tier = TIERS[config.tier]
        rate = tier.job_device_operations.allowance(config.units) if config.throttle else None
        pace = JobPace(clock, rate)
        self._runner = JobRunner(core, self._shapes, self.twins, self.methods, queries, pace, self.admission.faults)
        self.jobs = Jobs(core, self._shapes, self._runner, tier.concurrent_jobs if config.throttle else None)
        self._notes: set[asyncio.Task[None]] = set()
        self._switch_interval = sys.getswitchinterval()

    @staticmethod
    def schema() -> Sequence[Path]:
        """The schema files that the hub's store is opened with."""
        return (Path(__file__).with_name("schema_v1.sql"),)

    async def start(self) -> None:
        """Load the policies and take up the jobs that had not ended."""
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        await self._quota_record.start()
        await self.event_hub.start()
        await self.routing.start()
        await self.policies.load()
        await self.authorities.load()
        await self.provisioning.load()
        await self._query_lag.start()
        await self.query_indexes.start()
        await self.c2d.start()
        await self.files.start()
        await self.jobs.start()
        await self.transfers.start()
        self.configurations.start()

    async def stop(self) -> None:
        """Let go of jobs and links, and write what is known of connections; the store stays open."""
        await self._runner.stop()
        await self.transfers.stop()
        await self.configurations.stop()
        await self._query_lag.stop()
        self.sessions.end_all("the hub is stopping")
        await self.query_indexes.stop()
        await self.c2d.stop()
        await self.files.stop()
        await asyncio.gather(*self._notes)
        await self.routing.stop()
        await self.event_hub.stop()
        await self.admission.faults.stop()
        await self._quota_record.stop()
        sys.setswitchinterval(self._switch_interval)

    def _connection_changed(self, identity: Identity, connected: bool, now: float, activity: float) -> None:
        event = self._shapes.connection(identity, connected, now)
        self.events.publish(event)
        note = asyncio.create_task(self._note_connection(identity, now, activity, event))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def _note_connection(self, identity: Identity, now: float, activity: float, event: Event) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE identities SET connection_updated = ?, last_activity = ? WHERE device_id = ? AND module_id = ?",
                (now, activity, *key(identity)),
            )

        try:
            await self.store.write(
                work,
                appends=lambda connection, _result: self.routing.appended_events(connection, (event,)),
                after=lambda _result: self.routing.announce(identity.device_id),
            )
        except StoreError:
            _log.exception("%s: its connection was not kept", identity)
