-- Nodes, those who speak to the server, and runs. Digests are 32 bytes; times are milliseconds since 1970, UTC.

CREATE TABLE nodes (
    key          TEXT PRIMARY KEY,              -- fingerprint of the public key
    public_key   BLOB NOT NULL,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL,                 -- waiting, enrolled, revoked, left
    statement    BLOB NOT NULL,                 -- the protocol's Statement
    joined_at_ms INTEGER NOT NULL,
    seen_at_ms   INTEGER
) STRICT;

-- A name is free again once its key is revoked or given back.
CREATE UNIQUE INDEX node_names ON nodes (name) WHERE state IN ('waiting', 'enrolled');

CREATE TABLE invitations (
    token         BLOB PRIMARY KEY,             -- digest of the secret
    name          TEXT,                         -- the name that whoever joins gets; none leaves it free
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    used_by       TEXT,                         -- fingerprint of the key that joined
    used_at_ms    INTEGER
) STRICT;

CREATE TABLE keys (
    digest        BLOB PRIMARY KEY,             -- of the secret
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,                -- admin, researcher, viewer
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX key_names ON keys (name) WHERE revoked_at_ms IS NULL;

CREATE TABLE runs (
    id              TEXT PRIMARY KEY,           -- digits-3
    job_name        TEXT NOT NULL,
    number          INTEGER NOT NULL,           -- 3
    job             TEXT NOT NULL,              -- the job file
    manifest        BLOB NOT NULL,              -- its digest
    submitter       TEXT NOT NULL,
    state           TEXT NOT NULL,              -- waiting, preparing, running, finished, failed, cancelled
    reason          TEXT,
    schema          TEXT,                       -- canonical JSON, as most nodes that agreed stated it
    prepared        BLOB,                       -- digest of what prepare found
    submitted_at_ms INTEGER NOT NULL,
    ended_at_ms     INTEGER,
    events          INTEGER NOT NULL DEFAULT 0, -- the last event's number
    lines           INTEGER NOT NULL DEFAULT 0, -- the last log line's number
    UNIQUE (job_name, number)
) STRICT;

CREATE TABLE verdicts (
    run    TEXT NOT NULL REFERENCES runs (id),
    node   TEXT NOT NULL,
    key    TEXT NOT NULL,                       -- fingerprint of the key that signed it: a name may come to another
    kind   TEXT NOT NULL,                       -- approved, denied, unfit
    schema TEXT,                                -- of an approval, canonical JSON
    reason TEXT,                                -- of a denial
    code   INTEGER,                             -- of unfitness, as the protocol numbers it
    place  TEXT,                                -- the column's name
    line   INTEGER,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (run, node)
) STRICT;

CREATE TABLE members (
    run  TEXT NOT NULL REFERENCES runs (id),
    node TEXT NOT NULL,
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;

-- What a run goes on from: one row for each sum that was closed.
CREATE TABLE commits (
    number   INTEGER PRIMARY KEY,
    run      TEXT NOT NULL REFERENCES runs (id),
    round    INTEGER NOT NULL,
    stage    TEXT NOT NULL,                     -- prepare, train, evaluate
    attempt  INTEGER NOT NULL,
    version  INTEGER NOT NULL,                  -- of the model
    snapshot BLOB,                              -- digest of the blob; none once it is let go
    model    BLOB,                              -- likewise
    at_ms    INTEGER NOT NULL,
    UNIQUE (run, round, stage, attempt)
) STRICT;

CREATE TABLE counted (
    number INTEGER NOT NULL REFERENCES commits (number),
    node   TEXT NOT NULL,
    PRIMARY KEY (number, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    run   TEXT NOT NULL REFERENCES runs (id),
    round INTEGER NOT NULL,
    entry TEXT NOT NULL,                        -- JSON
    PRIMARY KEY (run, round)
) STRICT;

CREATE TABLE events (
    run    TEXT NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    event  TEXT NOT NULL,                       -- JSON
    PRIMARY KEY (run, number)
) STRICT;

CREATE TABLE lines (
    run    TEXT NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    level  TEXT NOT NULL,                       -- info, warn, error
    words  TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT;

-- Blobs by the names under which a run's files are downloaded.
CREATE TABLE files (
    run    TEXT NOT NULL REFERENCES runs (id),
    name   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (run, name)
) STRICT;
