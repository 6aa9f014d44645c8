"""Quotas and throttles of the real service, as data.

Source: IoT Hub documentation, "Quotas and throttling", and developer guide pages of the single features; "IoT Edge
limits and restrictions". Sizes are bytes unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["TIERS", "Rate", "Tier"]

KIB = 1024

# Messages
DEVICE_TO_CLOUD_BYTES = 256 * KIB
CLOUD_TO_DEVICE_BYTES = 64 * KIB
CLOUD_TO_DEVICE_QUEUE_DEPTH = 50
CLOUD_TO_DEVICE_LOCK_S = 60
CLOUD_TO_DEVICE_TTL_S = range(60, 2 * 24 * 3600 + 1)
CLOUD_TO_DEVICE_TTL_DEFAULT_S = 3600
CLOUD_TO_DEVICE_DELIVERIES = range(1, 101)
CLOUD_TO_DEVICE_DELIVERIES_DEFAULT = 10
FEEDBACK_LOCK_S = range(5, 301)
FEEDBACK_LOCK_DEFAULT_S = 60
FEEDBACK_BATCH_RECORDS = 64
FEEDBACK_BATCH_S = 15

# Built-in endpoint and message routing
PARTITIONS = range(1, 129)
PARTITIONS_DEFAULT = 4
EVENT_RETENTION_DAYS = range(1, 8)
CONSUMER_GROUPS_PER_HUB = 20
READERS_PER_GROUP_AND_PARTITION = 5
ROUTES_PER_HUB = 100
CUSTOM_ENDPOINTS_PER_HUB = 10
ENRICHMENTS_PER_HUB = 10

# Direct methods
METHOD_PAYLOAD_BYTES = 128 * KIB
METHOD_RESPONSE_TIMEOUT_S = range(5, 301)
METHOD_RESPONSE_TIMEOUT_DEFAULT_S = 30
METHOD_CONNECT_TIMEOUT_S = range(301)

# Twins
TAGS_BYTES = 8 * KIB
DESIRED_BYTES = 32 * KIB
REPORTED_BYTES = 32 * KIB
TWIN_KEY_BYTES = 1024
TWIN_STRING_BYTES = 4096
TWIN_DEPTH = 10
TWIN_INTEGER_MIN = -(2**52)
TWIN_INTEGER_MAX = 2**52 - 1

# Registry
LIST_DEVICES_MAX = 1000
BULK_DEVICES_MAX = 100
MODULES_PER_DEVICE = 50
POLICIES_PER_HUB = 16
AUTHORITIES_PER_HUB = 25
EDGE_CHILDREN = 100
EDGE_NESTING = 5
STATUS_REASON_CHARACTERS = 128

# Queries
QUERY_CHARACTERS = 8192
QUERY_PAGE_DEFAULT = 100
QUERY_PAGE_MAX = 1000

# Jobs
JOB_START_AHEAD_S = 168 * 3600
JOB_HISTORY_S = 30 * 24 * 3600

# Configurations and deployments
CONFIGURATIONS_PER_HUB = 100
CONFIGURATIONS_PER_FREE_HUB = 10
MODULES_PER_DEPLOYMENT = 50
CONFIGURATION_INTERVAL_S = 5 * 60
CREATE_OPTIONS_CHUNK_CHARACTERS = 512
CREATE_OPTIONS_CHUNKS = 8
CREATE_OPTIONS_CHUNKS_AGENT = 100

# MQTT
MQTT_SUBSCRIPTIONS = 5
MQTT_KEEP_ALIVE_FACTOR = 1.5
MQTT_KEEP_ALIVE_MAX_S = 1767

# File upload
UPLOADS_PER_DEVICE = 10
UPLOAD_TTL_S = range(60, 24 * 3600 + 1)
UPLOAD_TTL_DEFAULT_S = 3600
FILE_NOTIFICATION_TTL_S = range(60, 2 * 24 * 3600 + 1)
FILE_NOTIFICATION_TTL_DEFAULT_S = 3600
FILE_NOTIFICATION_LOCK_S = range(5, 301)
FILE_NOTIFICATION_LOCK_DEFAULT_S = 60
FILE_NOTIFICATION_DELIVERIES = range(1, 101)
FILE_NOTIFICATION_DELIVERIES_DEFAULT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """So many operations (or bytes) per window: `per_unit` for each unit of the hub, never less than `floor`."""

    per_unit: float
    floor: float = 0.0
    window_s: int

    def allowance(self, units: int) -> float:
        """Operations, or bytes, per window for a hub of `units` units."""
        return max(self.floor, self.per_unit * units)


PROVISIONING_REGISTRATIONS = Rate(per_unit=1000, window_s=60)
"""Of a provisioning service: devices that register (DPS documentation, "Quotas and limits")."""
PROVISIONING_OPERATIONS = Rate(per_unit=1000, window_s=60)
"""Of a provisioning service: what services do with enrolments and registrations."""
PROVISIONING_POLLS = Rate(per_unit=5, window_s=10)
"""Of one device: how often it may ask what became of its registration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """What a hub of one tier may do. Method calls are metered in bytes of request payload, everything else counted."""

    registry: Rate
    connections: Rate
    device_to_cloud: Rate
    cloud_to_device: Rate
    cloud_to_device_receives: Rate
    queries: Rate
    methods_bytes: Rate
    twin_reads: Rate
    twin_updates: Rate
    job_operations: Rate
    job_device_operations: Rate
    uploads: Rate
    configurations: Rate
    concurrent_jobs: int
    daily_messages_per_unit: int
    message_meter_bytes: int
    most_units: int


def _per_s(per_unit: float, floor: float = 0.0) -> Rate:
    return Rate(per_unit=per_unit, floor=floor, window_s=1)


def _per_min(per_unit: float) -> Rate:
    return Rate(per_unit=per_unit, window_s=60)


def _small(daily_messages: int, meter: int, most_units: int) -> Tier:
    return Tier(
        registry=_per_min(100),
        connections=_per_s(12, floor=100),
        device_to_cloud=_per_s(12, floor=100),
        cloud_to_device=_per_min(100),
        cloud_to_device_receives=_per_min(1_000),
        queries=_per_min(20),
        methods_bytes=_per_s(160 * KIB),
        twin_reads=_per_s(0, floor=100),
        twin_updates=_per_s(0, floor=50),
        job_operations=_per_min(100),
        job_device_operations=_per_s(0, floor=10),
        uploads=_per_min(100),
        configurations=_per_min(20),
        concurrent_jobs=1,
        daily_messages_per_unit=daily_messages,
        message_meter_bytes=meter,
        most_units=most_units,
    )


TIERS: Mapping[str, Tier] = MappingProxyType(
    {
        "F1": _small(8_000, KIB // 2, 1),
        "S1": _small(400_000, 4 * KIB, 200),
        "S2": Tier(
            registry=_per_min(100),
            connections=_per_s(120),
            device_to_cloud=_per_s(120),
            cloud_to_device=_per_min(100),
            cloud_to_device_receives=_per_min(1_000),
            queries=_per_min(20),
            methods_bytes=_per_s(480 * KIB),
            twin_reads=_per_s(10, floor=100),
            twin_updates=_per_s(5, floor=50),
            job_operations=_per_min(100),
            job_device_operations=_per_s(1, floor=10),
            uploads=_per_min(100),
            configurations=_per_min(20),
            concurrent_jobs=5,
            daily_messages_per_unit=6_000_000,
            message_meter_bytes=4 * KIB,
            most_units=200,
        ),
        "S3": Tier(
            registry=_per_min(5_000),
            connections=_per_s(6_000),
            device_to_cloud=_per_s(6_000),
            cloud_to_device=_per_min(5_000),
            cloud_to_device_receives=_per_min(50_000),
            queries=_per_min(1_000),
            methods_bytes=_per_s(24 * KIB * KIB),
            twin_reads=_per_s(500),
            twin_updates=_per_s(250),
            job_operations=_per_min(5_000),
            job_device_operations=_per_s(50),
            uploads=_per_min(5_000),
            configurations=_per_min(20),
            concurrent_jobs=10,
            daily_messages_per_unit=300_000_000,
            message_meter_bytes=4 * KIB,
            most_units=10,
        ),
    }
)
"""The standard tiers and the free one, by name."""
