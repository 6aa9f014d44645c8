-- The engine's state up to an entry of the journal, with the emissions that were not acknowledged then.
CREATE TABLE snapshot (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL,   -- the number of the first entry of the journal that is not in it
    state BLOB NOT NULL          -- JSON
);

-- Emissions that were acknowledged since the snapshot.
CREATE TABLE acknowledged (
    id TEXT PRIMARY KEY
) WITHOUT ROWID;
