-- Messages wait here until every endpoint that a route chose has acknowledged them: one copy, one delivery per endpoint.
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival
    sender TEXT NOT NULL,                 -- module id
    properties TEXT NOT NULL,             -- JSON object
    system TEXT NOT NULL,                 -- JSON object
    body BLOB NOT NULL
);

CREATE TABLE delivery (
    endpoint TEXT NOT NULL,
    priority INTEGER NOT NULL,            -- smaller is more urgent
    message INTEGER NOT NULL REFERENCES message (id),
    expires REAL,                         -- unix seconds; NULL: never
    PRIMARY KEY (endpoint, priority, message)
) WITHOUT ROWID;

CREATE INDEX delivery_by_message ON delivery (message);

-- The last twin known of each module; reported_upstream is what the hub holds, so that the difference is still to be sent.
CREATE TABLE twin (
    module TEXT PRIMARY KEY,
    desired TEXT NOT NULL,
    desired_version INTEGER NOT NULL,
    reported TEXT NOT NULL,
    reported_upstream TEXT NOT NULL,
    reported_version INTEGER NOT NULL
) WITHOUT ROWID;

-- Subscriptions of MQTT sessions that outlive their connection.
CREATE TABLE subscription (
    client TEXT NOT NULL,
    filter TEXT NOT NULL,
    PRIMARY KEY (client, filter)
) WITHOUT ROWID;
