-- Facts of the hub itself, as JSON: "policies" holds the shared access policies with their keys.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- A device or module identity and its twin: they are made together and go together. Times are unix seconds.
CREATE TABLE identities (
    device_id TEXT NOT NULL,
    module_id TEXT NOT NULL,              -- '' for the device itself
    generation_id TEXT NOT NULL,
    etag INTEGER NOT NULL,                -- the identity's; moves on identity writes only
    status TEXT NOT NULL,                 -- enabled or disabled; modules are always enabled
    status_reason TEXT,
    status_updated REAL,
    managed_by TEXT,
    authentication TEXT NOT NULL,         -- JSON, as the REST API prints it
    iot_edge INTEGER NOT NULL,
    device_scope TEXT,
    parent_scopes TEXT NOT NULL,          -- JSON array
    connection_updated REAL,
    last_activity REAL,
    model_id TEXT NOT NULL,
    twin_etag INTEGER NOT NULL,           -- moves on writes of tags or desired
    version INTEGER NOT NULL,
    tags TEXT NOT NULL,                   -- JSON, as are the four below
    desired TEXT NOT NULL,
    desired_metadata TEXT NOT NULL,
    desired_version INTEGER NOT NULL,
    reported TEXT NOT NULL,
    reported_metadata TEXT NOT NULL,
    reported_version INTEGER NOT NULL,
    configurations TEXT NOT NULL,         -- JSON: configuration id → {"status": "Applied" or "Targeted"}
    PRIMARY KEY (device_id, module_id)
);
CREATE INDEX identities_edge_scope ON identities (device_scope) WHERE iot_edge = 1;
CREATE INDEX identities_parent ON identities (parent_scopes) WHERE parent_scopes != '[]';
CREATE INDEX identities_modules ON identities (module_id, device_id) WHERE module_id != '';

-- Subscriptions of MQTT clients that connected with clean session 0; a session goes with its identity.
CREATE TABLE mqtt_sessions (
    device_id TEXT NOT NULL,
    module_id TEXT NOT NULL,              -- '' for the device itself
    filters TEXT NOT NULL,                -- JSON: topic filter to granted QoS
    PRIMARY KEY (device_id, module_id),
    FOREIGN KEY (device_id, module_id) REFERENCES identities ON DELETE CASCADE
) WITHOUT ROWID;

-- Certificate authorities that devices' certificates may chain to.
CREATE TABLE authorities (
    thumbprint TEXT PRIMARY KEY,          -- SHA-256, hexadecimal in capitals
    certificate BLOB NOT NULL,            -- DER
    added REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    query_condition TEXT NOT NULL,
    work TEXT NOT NULL,                   -- JSON: updateTwin or cloudToDeviceMethod, as it was given
    created REAL NOT NULL,
    start REAL NOT NULL,
    ended REAL,
    max_execution_s INTEGER NOT NULL,
    failure_reason TEXT,
    targeted INTEGER NOT NULL,            -- 1 once device_jobs holds every target
    device_count INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL
);

CREATE TABLE device_jobs (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    device_id TEXT NOT NULL,
    module_id TEXT NOT NULL,              -- '' for a device
    status TEXT NOT NULL,                 -- pending, running, completed, failed or canceled
    started REAL,
    ended REAL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    outcome TEXT,                         -- JSON
    error TEXT,                           -- JSON
    PRIMARY KEY (job_id, device_id, module_id)
) WITHOUT ROWID;
CREATE INDEX device_jobs_waiting ON device_jobs (job_id, device_id, module_id) WHERE status = 'pending';

-- Jobs that export the registry to a blob, or import it from one.
CREATE TABLE transfers (
    job_id TEXT PRIMARY KEY,
    orders TEXT NOT NULL,                 -- JSON; without the addresses of containers once the job has ended
    status TEXT NOT NULL,                 -- enqueued, running, completed, failed or cancelled
    progress INTEGER NOT NULL,            -- percent
    done INTEGER NOT NULL,                -- bytes of the input that are dealt with
    started REAL NOT NULL,
    ended REAL,
    failure_reason TEXT
);
CREATE INDEX transfers_active ON transfers (job_id) WHERE ended IS NULL;

-- What a running import could not do: lines of its importErrors.log.
CREATE TABLE transfer_errors (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES transfers ON DELETE CASCADE,
    line TEXT NOT NULL                    -- JSON
);

-- Cloud-to-device messages that have not ended. A message is locked while lock_token is set.
CREATE TABLE c2d_messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    generation_id TEXT NOT NULL,          -- the device's when the message was sent
    enqueued REAL NOT NULL,
    expires REAL NOT NULL,
    delivery_count INTEGER NOT NULL,      -- abandons so far
    lock_token TEXT,
    locked_until REAL,
    connected INTEGER,                    -- 1: the lock ends with the connection that holds it
    ack TEXT NOT NULL,                    -- none, positive, negative or full
    properties TEXT NOT NULL,             -- JSON, as is the next
    system TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX c2d_messages_device ON c2d_messages (device_id, sequence);
CREATE INDEX c2d_messages_waiting ON c2d_messages (expires) WHERE lock_token IS NULL;
CREATE INDEX c2d_messages_locked ON c2d_messages (locked_until) WHERE lock_token IS NOT NULL;
CREATE UNIQUE INDEX c2d_messages_token ON c2d_messages (lock_token) WHERE lock_token IS NOT NULL;

-- Batches of feedback on such messages; their records are below.
CREATE TABLE c2d_feedback (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    enqueued REAL NOT NULL,
    expires REAL NOT NULL,
    delivery_count INTEGER NOT NULL,
    lock_token TEXT,
    locked_until REAL,
    connected INTEGER
);
CREATE INDEX c2d_feedback_waiting ON c2d_feedback (expires) WHERE lock_token IS NULL;
CREATE INDEX c2d_feedback_locked ON c2d_feedback (locked_until) WHERE lock_token IS NOT NULL;
CREATE UNIQUE INDEX c2d_feedback_token ON c2d_feedback (lock_token) WHERE lock_token IS NOT NULL;

CREATE TABLE c2d_feedback_records (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    batch INTEGER REFERENCES c2d_feedback ON DELETE CASCADE,   -- NULL: waits for the next batch
    device_id TEXT NOT NULL,
    record TEXT NOT NULL                  -- JSON, as it is sent
);
CREATE INDEX c2d_feedback_records_batch ON c2d_feedback_records (batch, number);
CREATE INDEX c2d_feedback_records_device ON c2d_feedback_records (device_id);

-- With a device go the messages for it and the feedback on them, whoever deletes it.
CREATE TRIGGER identities_c2d AFTER DELETE ON identities WHEN old.module_id = '' BEGIN
    DELETE FROM c2d_messages WHERE device_id = old.device_id;
    DELETE FROM c2d_feedback_records WHERE device_id = old.device_id;
END;
CREATE TRIGGER c2d_feedback_empty AFTER DELETE ON c2d_feedback_records WHEN old.batch IS NOT NULL BEGIN
    DELETE FROM c2d_feedback WHERE sequence = old.batch
    AND NOT EXISTS (SELECT 1 FROM c2d_feedback_records WHERE batch = old.batch);
END;

-- Automatic configurations and deployments.
CREATE TABLE configurations (
    creation INTEGER PRIMARY KEY AUTOINCREMENT,  -- the higher, the newer
    id TEXT NOT NULL UNIQUE,
    etag INTEGER NOT NULL,
    schema_version TEXT,
    labels TEXT,                          -- JSON
    priority INTEGER NOT NULL,
    target_condition TEXT NOT NULL,
    reads_reported INTEGER NOT NULL,      -- whether the target condition does
    content TEXT NOT NULL,                -- JSON, as it was given
    metrics TEXT NOT NULL,                -- JSON: name → query
    results TEXT,                         -- JSON: the metrics of the last pass, {"metrics": {}, "systemMetrics": {}}
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE INDEX identities_configured ON identities (device_id, module_id) WHERE configurations != '{}';

-- Devices that configurations have to be judged anew for: what target conditions can read of them or of their modules
-- changed. Triggers, because twins are written from many places and none may be forgotten.
CREATE TABLE configuration_queue (device_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TRIGGER identity_made AFTER INSERT ON identities WHEN EXISTS (SELECT 1 FROM configurations)
BEGIN
    INSERT OR IGNORE INTO configuration_queue VALUES (NEW.device_id);
END;
CREATE TRIGGER identity_changed AFTER UPDATE OF tags, reported, iot_edge ON identities
WHEN (OLD.tags != NEW.tags OR OLD.iot_edge != NEW.iot_edge) AND EXISTS (SELECT 1 FROM configurations)
    OR OLD.reported != NEW.reported AND EXISTS (SELECT 1 FROM configurations WHERE reads_reported)
BEGIN
    INSERT OR IGNORE INTO configuration_queue VALUES (NEW.device_id);
END;

-- The built-in endpoint, one row; its events are the store's streams "events/0", "events/1" …
CREATE TABLE event_hub (
    id INTEGER PRIMARY KEY,
    partitions INTEGER NOT NULL,
    created REAL NOT NULL
);

CREATE TABLE consumer_groups (
    name TEXT PRIMARY KEY COLLATE NOCASE  -- beside "$Default", which is always there
) WITHOUT ROWID;

-- How far custom routing endpoints have delivered their queues, which are the store's streams "endpoint/NAME".
CREATE TABLE endpoint_cursors (
    endpoint TEXT PRIMARY KEY,
    next INTEGER NOT NULL                 -- number of the first record not delivered
) WITHOUT ROWID;

-- The provisioning service: enrolments, and the last registration of each device. Keys are ids in lower case.
CREATE TABLE dps_enrollments (
    kind TEXT NOT NULL,                   -- registrationId (individual) or enrollmentGroupId
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,               -- JSON, as the REST API takes it, with keys and certificates
    etag TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE dps_registrations (
    key TEXT PRIMARY KEY,
    group_key TEXT NOT NULL,              -- '' for an individual enrolment
    document TEXT NOT NULL                -- JSON
) WITHOUT ROWID;
CREATE INDEX dps_registrations_group ON dps_registrations (group_key);

-- The blob endpoint. A blob's content is its parts in order, each a file in the folder "blobs".
CREATE TABLE blob_containers (
    name TEXT PRIMARY KEY,
    etag INTEGER NOT NULL,
    modified REAL NOT NULL,
    metadata TEXT NOT NULL                -- JSON, as is that of blobs
) WITHOUT ROWID;

CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    container TEXT NOT NULL REFERENCES blob_containers ON DELETE CASCADE,
    name TEXT NOT NULL,
    etag INTEGER NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    size INTEGER NOT NULL,
    properties TEXT NOT NULL,             -- JSON: header to value
    metadata TEXT NOT NULL,
    UNIQUE (container, name)
);

CREATE TABLE blob_parts (
    blob INTEGER NOT NULL REFERENCES blobs ON DELETE CASCADE,
    number INTEGER NOT NULL,
    block TEXT NOT NULL,                  -- block id; '' for a blob that was put in one piece
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (blob, number)
) WITHOUT ROWID;
CREATE INDEX blob_parts_file ON blob_parts (file);

-- Blocks that are in no blob yet.
CREATE TABLE blob_blocks (
    container TEXT NOT NULL REFERENCES blob_containers ON DELETE CASCADE,
    name TEXT NOT NULL,
    block TEXT NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    staged REAL NOT NULL,
    PRIMARY KEY (container, name, block)
) WITHOUT ROWID;
CREATE INDEX blob_blocks_file ON blob_blocks (file);

-- Uploads that devices have begun; they end with a notification or with their signature.
CREATE TABLE file_uploads (
    correlation_id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL,
    blob TEXT NOT NULL,                   -- "device/name"
    uri TEXT NOT NULL,                    -- the blob's address, without a signature
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX file_uploads_device ON file_uploads (device_id, expires);
CREATE TRIGGER identities_files AFTER DELETE ON identities WHEN old.module_id = '' BEGIN
    DELETE FROM file_uploads WHERE device_id = old.device_id;
END;

-- Notifications of files that were uploaded, until a service has settled them.
CREATE TABLE file_notifications (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    enqueued REAL NOT NULL,
    expires REAL NOT NULL,
    delivery_count INTEGER NOT NULL,
    lock_token TEXT,
    locked_until REAL,
    connected INTEGER,
    body TEXT NOT NULL                    -- JSON, as it is sent
);
CREATE INDEX file_notifications_waiting ON file_notifications (expires) WHERE lock_token IS NULL;
CREATE INDEX file_notifications_locked ON file_notifications (locked_until) WHERE lock_token IS NOT NULL;
CREATE UNIQUE INDEX file_notifications_token ON file_notifications (lock_token) WHERE lock_token IS NOT NULL;

-- Rows of identities as they were before they changed, while a lagging query index is played (local_hub.query_lag).
CREATE TABLE query_backlog (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    module_id TEXT NOT NULL,
    changed REAL NOT NULL,
    row TEXT                              -- JSON array of the columns; NULL: the row was not there
);

-- Paths into twins that indexes were made for because queries ask for them (local_hub.query_indexes).
CREATE TABLE query_indexes (
    path TEXT PRIMARY KEY                 -- JSON array
) WITHOUT ROWID;

-- Messages counted against the daily quota of a hub that throttles (local_hub.controls.quota_record).
CREATE TABLE daily_quota (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    day INTEGER NOT NULL,                 -- days since 1970-01-01, UTC
    used INTEGER NOT NULL
);
