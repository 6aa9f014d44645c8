-- Texts that wait for their answer; the oldest has the lowest number.
CREATE TABLE waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    record BLOB NOT NULL,
    properties TEXT NOT NULL,
    system TEXT NOT NULL,
    size INTEGER NOT NULL
);
