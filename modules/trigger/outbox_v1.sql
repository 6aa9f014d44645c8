-- One row for every action of every firing that is not done yet.
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    firing TEXT NOT NULL,              -- the idempotency key
    rule TEXT NOT NULL,
    action TEXT NOT NULL,
    content BLOB NOT NULL,             -- modules.trigger.firing.Firing.encoded
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,                 -- unix seconds
    parked_at REAL,                    -- unix seconds; NULL while it is still tried
    reason TEXT NOT NULL DEFAULT '',   -- of the last failure
    UNIQUE (firing, action)
);
CREATE INDEX delivery_lane ON delivery (rule, action, parked_at, due);
CREATE INDEX delivery_parked ON delivery (parked_at);

-- Every series that is not idle, or still in its cool-down.
CREATE TABLE series (
    rule TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,              -- modules.trigger.engine.rule_digest
    phase TEXT NOT NULL,
    since REAL NOT NULL,
    fired_at REAL,
    input TEXT NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (rule, key)
);
