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
    PRIMARY KEY (device_id, module_id)
);
CREATE INDEX identities_edge_scope ON identities (device_scope) WHERE iot_edge = 1;
CREATE INDEX identities_modules ON identities (module_id, device_id) WHERE module_id != '';

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
CREATE INDEX device_jobs_waiting ON device_jobs (job_id, device_id, module_id) WHERE status IN ('pending', 'running');
