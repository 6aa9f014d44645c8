"""The rows of the conformance ledger. Operations over HTTPS are spelled as in the table of routes, "VERB /path"."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["LEDGER", "Entry", "State"]


class State(enum.Enum):
    """How close an operation is to the service's."""

    EXACT = "exact"
    DOCUMENTED = "documented"
    APPROXIMATE = "approximate"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One operation of one area; the note is a sentence or empty."""

    area: str
    operation: str
    state: State
    note: str = ""


_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State


def _area(area: str, *rows: tuple[str, State, str]) -> tuple[Entry, ...]:
    return tuple(Entry(area=area, operation=operation, state=state, note=note) for operation, state, note in rows)


def _enrollments(path: str) -> tuple[tuple[str, State, str], ...]:
    """The operations on one of the two collections of enrolments."""
    return (
        (f"PUT {path}/{{id}}", _DOCUMENTED, "409 without If-Match when it exists; answers with the keys."),
        (f"GET {path}/{{id}}", _DOCUMENTED, "Without keys and certificates."),
        (f"DELETE {path}/{{id}}", _DOCUMENTED, "Its registrations go too."),
        (f"POST {path}/{{id}}/attestationmechanism", _DOCUMENTED, ""),
        (f"POST {path}/query", _APPROXIMATE, "The grammar of twin queries, over enrolments."),
        (f"POST {path}", _APPROXIMATE, "10 enrolments a call; the codes of errors are ours."),
    )


_SECURITY = _area(
    "Security",
    (
        "SAS tokens",
        _DOCUMENTED,
        "Signature, expiry (five minutes of clock skew), resource and policy rights are checked.",
    ),
    (
        "Shared access policies",
        _APPROXIMATE,
        "The five default ones with generated keys; none can be added or changed.",
    ),
    (
        "X.509 thumbprints",
        _EXACT,
        "SHA-1 or SHA-256, over MQTT, WebSocket and HTTPS, for devices and modules; dates do not count.",
    ),
    (
        "X.509 certificate authorities",
        _APPROXIMATE,
        "Trusted by edgeyard hub trust-ca, without the proof of possession; a module's common name is device/module.",
    ),
    ("Microsoft Entra tokens", _REFUSED, "Answered 401."),
    (
        "Throttling",
        _APPROXIMATE,
        "Off unless --throttle or --like-azure TIER:UNITS is given; then the documented rates hold: a minute's worth at "
        "once, ten seconds of queue, then 429. Only the operation type ConfigurationWrite is known from the service; "
        "over MQTT, telemetry that is over the rate ends the connection and log-ins get return code 3.",
    ),
    (
        "Daily message quota",
        _APPROXIMATE,
        "With the throttles: 403002 until UTC midnight of the hub's clock; telemetry, cloud-to-device messages, methods, "
        "twin operations and queries count by their request, and a restart of the hub begins anew.",
    ),
)

_IDENTITIES = _area(
    "Identity registry (HTTPS)",
    ("GET /devices", _EXACT, ""),
    ("POST /devices", _EXACT, "Bulk create, update, delete and updateTwin, up to 100 items; createOrUpdate too."),
    ("GET /devices/{device}", _EXACT, ""),
    ("PUT /devices/{device}", _EXACT, "Create-only without If-Match; omitted keys are generated anew."),
    ("DELETE /devices/{device}", _EXACT, "412 without If-Match."),
    ("GET /devices/{device}/modules", _EXACT, "Also with the edge device's own token, as the IoT Edge daemon does."),
    ("GET /devices/{device}/modules/{module}", _EXACT, ""),
    ("PUT /devices/{device}/modules/{module}", _EXACT, ""),
    ("DELETE /devices/{device}/modules/{module}", _EXACT, ""),
    (
        "POST /devices/keys/regenerate",
        _APPROXIMATE,
        "Not documented by the service: shapes as the Azure CLI sends and reads them; those of errors are ours.",
    ),
    (
        "IoT Edge capability, scopes and parents",
        _APPROXIMATE,
        "As observed live; 5 levels and 100 children are checked when a device is written, not when its parent is.",
    ),
    ("GET /statistics/devices", _EXACT, ""),
    ("GET /statistics/service", _EXACT, ""),
    ("DELETE /devices/{device}/commands", _DOCUMENTED, "Messages that are locked are purged too."),
)

_TWINS = _area(
    "Twins, queries and methods (HTTPS)",
    ("GET /twins/{device}", _EXACT, ""),
    ("PATCH /twins/{device}", _EXACT, ""),
    ("PUT /twins/{device}", _EXACT, ""),
    ("GET /twins/{device}/modules/{module}", _EXACT, ""),
    ("PATCH /twins/{device}/modules/{module}", _EXACT, ""),
    ("PUT /twins/{device}/modules/{module}", _DOCUMENTED, ""),
    (
        "POST /devices/query",
        _APPROXIMATE,
        "Answers at once, or with --like-azure five seconds late; the service's index lags by seconds to minutes.",
    ),
    ("POST /twins/{device}/methods", _EXACT, ""),
    ("POST /twins/{device}/modules/{module}/methods", _DOCUMENTED, ""),
    ("GET /digitaltwins/{device}", _REFUSED, ""),
    ("PATCH /digitaltwins/{device}", _REFUSED, ""),
    ("POST /digitaltwins/{device}/commands/{command}", _REFUSED, ""),
    ("POST /digitaltwins/{device}/components/{component}/commands/{command}", _REFUSED, ""),
)

_JOBS = _area(
    "Jobs (HTTPS)",
    (
        "PUT /jobs/v2/{job}",
        _EXACT,
        "scheduleUpdateTwin and scheduleDeviceMethod, at most 168 hours ahead; one hour where "
        "maxExecutionTimeInSeconds is left out.",
    ),
    (
        "Limits of the tier on jobs",
        _DOCUMENTED,
        "With --throttle: 1, 5 or 10 jobs at once and the documented devices a second. Without it, which is the "
        "default, neither holds.",
    ),
    ("GET /jobs/v2/{job}", _EXACT, ""),
    ("POST /jobs/v2/{job}/cancel", _DOCUMENTED, ""),
    ("GET /jobs/v2/query", _DOCUMENTED, ""),
    ("POST /jobs/create", _REFUSED, "Import and export jobs."),
    ("GET /jobs", _REFUSED, "Import and export jobs."),
    ("GET /jobs/{job}", _REFUSED, "Import and export jobs."),
    ("DELETE /jobs/{job}", _REFUSED, "Import and export jobs."),
)

_CONFIGURATIONS = _area(
    "Configurations and deployments (HTTPS)",
    (
        "POST /devices/{device}/applyConfigurationContent",
        _EXACT,
        "Makes the module identities it names; stays until a deployment is evaluated for the device again.",
    ),
    ("GET /configurations", _EXACT, "All of them; top is ignored."),
    (
        "GET /configurations/{id}",
        _APPROXIMATE,
        "Metrics are those of the moment of reading, where the service's are up to five minutes old.",
    ),
    (
        "PUT /configurations/{id}",
        _EXACT,
        "Content in an update is ignored; an etag without quotes counts for none. A base deployment that IoT Edge "
        "could not run (no runtime, no system modules) is refused. At most 5 custom metrics.",
    ),
    ("DELETE /configurations/{id}", _EXACT, "What it wrote stays in the twins."),
    ("POST /configurations/testQueries", _EXACT, ""),
    (
        "Device and module configurations",
        _APPROXIMATE,
        "Applied at once and checked every five minutes of the hub's clock; content at properties.desired replaces all "
        "desired properties; what a configuration wrote is taken back when a twin stops matching.",
    ),
    (
        "Edge deployments and layers",
        _APPROXIMATE,
        "Applied at once; module identities come and go with them. A twin that has no room, or a device with too many "
        "modules, is left as it was, with a line in the hub's log.",
    ),
)

_MESSAGES = _area(
    "Messages and files (HTTPS)",
    (
        "GET /messages/serviceBound/feedback",
        _APPROXIMATE,
        "Which headers the service sends with a batch is not documented; here the lock token is in ETag.",
    ),
    ("DELETE /messages/serviceBound/feedback/{lock}", _DOCUMENTED, ""),
    ("POST /messages/serviceBound/feedback/{lock}/abandon", _DOCUMENTED, ""),
    ("POST /devices/{device}/messages/events", _DOCUMENTED, "Batches too, up to 256 KB of messages."),
    (
        "GET /devices/{device}/messages/deviceBound",
        _APPROXIMATE,
        "What no header can hold in a property (control characters, beyond ASCII, %) is percent-encoded.",
    ),
    ("DELETE /devices/{device}/messages/deviceBound/{lock}", _DOCUMENTED, "Completes, or rejects with ?reject."),
    ("POST /devices/{device}/messages/deviceBound/{lock}/abandon", _DOCUMENTED, ""),
    (
        "POST /devices/{device}/files",
        _EXACT,
        "10 at a time; hostName is that of the built-in blob endpoint, with the account's name as a path, or it is "
        "that of the configured account.",
    ),
    (
        "POST /devices/{device}/files/notifications",
        _APPROXIMATE,
        "A success without a blob is 400020, a second or a late notification 400015 or 400016, as their names say.",
    ),
    ("POST /devices/{device}/files/notifications/{correlation}", _DOCUMENTED, "As Node's SDK sends it."),
    ("GET /$iothub/websocket", _EXACT, "MQTT (subprotocol mqtt) and AMQP (AMQPWSB10)."),
    ("GET /$servicebus/websocket", _EXACT, "AMQP (subprotocol AMQPWSB10)."),
)

_BLOBS = _area(
    "Blob endpoint (HTTPS)",
    ("Put Blob", _EXACT, "Block blobs up to 5,000 MiB, synced before the answer; append and page blobs are refused."),
    ("Put Block", _EXACT, "CRC-64 and MD5 are checked where they are sent, and only then in the answer."),
    ("Put Block List", _EXACT, ""),
    ("Get Block List", _EXACT, ""),
    ("Get Blob", _EXACT, "Ranges, conditions, checksums of ranges; structured messages are refused."),
    ("Get Blob Properties", _EXACT, ""),
    ("Get Blob Metadata", _DOCUMENTED, ""),
    ("Set Blob Metadata", _EXACT, ""),
    ("Set Blob Properties", _EXACT, ""),
    ("Delete Blob", _EXACT, "At once and for good."),
    ("List Blobs", _APPROXIMATE, "Flat and by delimiter; blobs that are only blocks so far are never listed."),
    ("List Containers", _EXACT, ""),
    ("Create Container", _EXACT, "Public access is refused."),
    ("Get Container Properties", _EXACT, ""),
    ("Get Container Metadata", _DOCUMENTED, ""),
    ("Set Container Metadata", _EXACT, ""),
    ("Delete Container", _APPROXIMATE, "At once: its name is free again, where the service needs half a minute."),
    (
        "Shared access signatures",
        _EXACT,
        "Of services (blob, container; since 2015-04-05) and accounts; stored policies, user delegation are refused.",
    ),
    ("Shared Key", _APPROXIMATE, "The date of a request does not count."),
    ("Leases, snapshots, versions, tags, tiers, copies, batches, policies", _REFUSED, "501 NotImplemented, by name."),
)

_FILE_NOTIFICATIONS = _area(
    "File upload",
    (
        "Notifications",
        _APPROXIMATE,
        "On at first, where the service's are off; one hour, locks of a minute, 100 deliveries, of which only "
        "abandoned ones count.",
    ),
    ("Hub options (fileNotifications, sasTtlAsIso8601)", _DOCUMENTED, "Ranges and defaults of the service."),
    ("Storage account", _EXACT, "Built in, none (400014), or one elsewhere, whose container must be there."),
)

_CLOUD_TO_DEVICE = _area(
    "Cloud-to-device messages",
    (
        "Queue of a device",
        _DOCUMENTED,
        "50 messages deep, in the order of sending, 64 KB a message; kept on disk; goes with its device.",
    ),
    (
        "Locks and delivery count",
        _DOCUMENTED,
        "60 seconds; only an abandon counts, and the one that reaches the maximum dead-letters the message.",
    ),
    (
        "Expiry",
        _APPROXIMATE,
        "One hour unless the message says otherwise; a time that is over or more than two days ahead is refused with "
        "403009.",
    ),
    (
        "Topics of 65,535 bytes",
        _APPROXIMATE,
        "A message whose properties do not fit into an MQTT topic is refused when it is sent, for every protocol.",
    ),
    (
        "Feedback",
        _APPROXIMATE,
        "64 records or 15 seconds since the batch before; batches go with their devices; only an abandon counts there "
        "too.",
    ),
    ("Hub options (cloudToDevice)", _DOCUMENTED, "Ranges and defaults of the service, in the hub's configuration."),
)

_MQTT = _area(
    "MQTT (port 8883)",
    ("CONNECT", _EXACT, "Return code 5 for every refusal; one connection per identity, the newest one."),
    ("Telemetry", _EXACT, "PUBACK after the synced commit; over 256 KB or QoS 2 ends the connection."),
    ("Twin get", _EXACT, ""),
    ("Reported properties", _EXACT, "$version in the topic or the body pins the base version."),
    ("Desired properties", _EXACT, "Sent with the granted QoS; not queued for devices that are away."),
    ("Direct methods", _EXACT, ""),
    ("Persistent sessions", _EXACT, "Subscriptions outlive connections and restarts of the hub."),
    ("Will and RETAIN", _DOCUMENTED, "Become properties of telemetry: iothub-MessageType and mqtt-retain."),
    ("Token expiry", _DOCUMENTED, "The connection is cut when its token is no longer valid."),
    ("Subscriptions", _APPROXIMATE, "A filter that the service does not document ends the connection."),
    (
        "Cloud-to-device messages",
        _EXACT,
        "What was not acknowledged comes again after 60 seconds or with the next connection, under a new packet id.",
    ),
    ("Module inputs", _REFUSED, "The subscription is granted; only an edge hub delivers inputs."),
    ("MQTT over WebSocket", _EXACT, "On the HTTPS port, which must be 443 for the Azure SDKs."),
    ("Model id", _EXACT, "The model-id of the user name is in the twin when CONNACK leaves, and stays there."),
    ("MQTT 5", _REFUSED, "CONNACK 1, unacceptable protocol version."),
)

_AMQP = _area(
    "AMQP (port 5671)",
    (
        "SASL and claims-based security",
        _DOCUMENTED,
        "MSSBCBS, ANONYMOUS, PLAIN and EXTERNAL, or none; put-token of SAS tokens, which end their links when they "
        "expire; Microsoft Entra tokens are answered 401.",
    ),
    (
        "Cloud-to-device messages (services)",
        _EXACT,
        "Accepted after the synced commit; rejected with the service's conditions and a JSON description.",
    ),
    (
        "Feedback and file notifications (services)",
        _DOCUMENTED,
        "Accepted completes, rejected drops, released and modified put back and count.",
    ),
    ("Telemetry (devices, modules)", _EXACT, "Batches too; settled after the synced commit."),
    ("Cloud-to-device messages (devices)", _EXACT, "The delivery tag is the lock token."),
    (
        "Direct methods (devices, modules)",
        _EXACT,
        "",
    ),
    (
        "Twins (devices, modules)",
        _APPROXIMATE,
        "As the device SDKs speak it; a patch is answered 204 as over MQTT, the other statuses of successes are 200.",
    ),
    (
        "One connection of an identity",
        _APPROXIMATE,
        "Links on a newer connection detach the older ones; amqp:link:detach-forced with 409002 in the description.",
    ),
    ("Module inputs on the hub", _REFUSED, "amqp:not-implemented; only an edge hub delivers inputs."),
    ("AMQP over WebSocket", _EXACT, "On the HTTPS port, which must be 443 for the Azure SDKs."),
    ("Transactions and link resumption", _REFUSED, "amqp:not-implemented, as in the service."),
)

_EVENT_HUB = _area(
    "Event Hubs-compatible endpoint (AMQP)",
    ("Partitions and consumer groups", _DOCUMENTED, "By offset, sequence number or time, as far as credit goes."),
    ("Annotations and properties of events", _DOCUMENTED, "Offsets are sequence numbers in decimal digits."),
    (
        "Owner levels (epoch) and five readers",
        _DOCUMENTED,
        "amqp:link:stolen for who has to leave or may not come in; amqp:resource-limit-exceeded for the sixth.",
    ),
    ("$management READ", _DOCUMENTED, "Properties of the Event Hub and of a partition; other operations are refused."),
    ("Last enqueued event with each event", _DOCUMENTED, ""),
    (
        "Redirect from messages/events",
        _DOCUMENTED,
        "amqp:link:redirect to the same host, port 5671 and the Event Hub's name.",
    ),
    ("Sending to the endpoint", _REFUSED, "amqp:unauthorized-access, as in the service, whose policies only listen."),
    ("Emulator mode without TLS", _APPROXIMATE, "hub run --eventhub-plain-port 5672; the real service has no such."),
)

_EVENTS = _area(
    "Events",
    (
        "Telemetry in the built-in endpoint",
        _DOCUMENTED,
        "Partitions by a hash of the device id, fixed when a hub is made; offsets are sequence numbers in digits.",
    ),
    (
        "Retention",
        _APPROXIMATE,
        "1 to 7 days by the hub's clock, or 1 GiB a partition; whole segments go, some with younger events in them.",
    ),
    ("Consumer groups", _DOCUMENTED, "edgeyard hub consumer-groups; names match in any case, 20 at most."),
    (
        "Annotations and properties of events",
        _APPROXIMATE,
        "As documented; iothub-outputname and x-opt-partition-key (the device id) are guesses.",
    ),
    (
        "twinChangeEvents, deviceLifecycleEvents, deviceConnectionStateEvents",
        _DOCUMENTED,
        "Where a route asks for them; kept in the transaction that they tell of, and never merged.",
    ),
    (
        "digitalTwinChangeEvents, deviceJobLifecycleEvents, mqttBrokerMessages",
        _REFUSED,
        "A route that names such a source is refused.",
    ),
    (
        "Routes and the fallback route",
        _DOCUMENTED,
        "In hub/routing.json and by edgeyard hub routes; not through Azure Resource Manager.",
    ),
    (
        "Routing queries",
        _APPROXIMATE,
        "The edge hub's grammar, as its source has it, with IoT Hub's $twin and inspections; changes count at once.",
    ),
    (
        "Message enrichments",
        _APPROXIMATE,
        "At once, where the service's twins lag; objects are stamped as JSON; an enrichment replaces an own property.",
    ),
    ("Endpoints webhook and file", _APPROXIMATE, "Of our own, at least once, in the JSON of storage endpoints."),
    (
        "Endpoints of Event Hubs, Service Bus, Storage and Cosmos DB",
        _REFUSED,
        "Settings that name one are refused.",
    ),
)

_PROVISIONING = _area(
    "Device Provisioning Service",
    ("MQTT register and status", _EXACT, "On 8883 and over WebSocket; the unmodified SDK registers and connects."),
    (
        "PUT /{scope}/registrations/{registration}/register",
        _DOCUMENTED,
        "Answers assigning, though the device is assigned by then; a custom payload is taken and never echoed.",
    ),
    ("GET /{scope}/registrations/{registration}/operations/{operation}", _APPROXIMATE, "Only the last operation."),
    ("POST /{scope}/registrations/{registration}", _DOCUMENTED, ""),
    ("Symmetric keys", _EXACT, "Individual, or derived from a group's; a registration keeps to the key that made it."),
    (
        "X.509 attestation",
        _APPROXIMATE,
        "Individual by thumbprint, groups by signingCertificates; the hub's device gets the SHA-256 thumbprint.",
    ),
    ("TPM attestation, caReferences and custom allocation", _REFUSED, "501 when an enrolment asks for them."),
    ("AMQP", _REFUSED, ""),
    (
        "Reprovisioning",
        _APPROXIMATE,
        "One hub, so nothing migrates: reset writes the initial twin and leaves reported properties.",
    ),
    (
        "Disabled enrolments and other hubs",
        _DOCUMENTED,
        "Status disabled with an empty operation id; status failed with 401001.",
    ),
    ("Refusals", _APPROXIMATE, "Shapes and 401002, 404201 and 404203 as users quote them; other codes are ours."),
    *_enrollments("/enrollments"),
    *_enrollments("/enrollmentGroups"),
    ("GET /registrations/{id}", _DOCUMENTED, ""),
    ("DELETE /registrations/{id}", _DOCUMENTED, "The device on the hub stays."),
    ("POST /registrations/{id}/query", _DOCUMENTED, ""),
)

LEDGER: tuple[Entry, ...] = (
    *_SECURITY,
    *_IDENTITIES,
    *_TWINS,
    *_JOBS,
    *_CONFIGURATIONS,
    *_MESSAGES,
    *_FILE_NOTIFICATIONS,
    *_BLOBS,
    *_CLOUD_TO_DEVICE,
    *_MQTT,
    *_AMQP,
    *_EVENT_HUB,
    *_EVENTS,
    *_PROVISIONING,
)
"""Every operation, grouped by area."""
