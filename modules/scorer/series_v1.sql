-- The series that the telemetry scorer remembers.
CREATE TABLE series (
    key TEXT PRIMARY KEY,              -- modules.scorer.anomaly.Key, as a JSON array
    used INTEGER NOT NULL,             -- order of last use: the least is forgotten first
    window BLOB NOT NULL,              -- float64, little-endian, oldest first
    scores BLOB NOT NULL               -- the same, bare scores
) WITHOUT ROWID;
