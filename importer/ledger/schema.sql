-- The ledger: what was sent, when, and what came of it. It holds no credential: fingerprints and refresh-token
-- digests are keyed, with the key in `meta`. PRAGMA user_version is the version of this schema.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE targets (
    id          INTEGER PRIMARY KEY,
    api_root    TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    UNIQUE (api_root, project_id)
);

-- A project may be given by its name: what id it had when it was last asked for.
CREATE TABLE projects (
    api_root    TEXT NOT NULL,
    given       TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    seen_at     REAL NOT NULL,
    PRIMARY KEY (api_root, given)
) WITHOUT ROWID;

-- With limits.rate = "auto": the pace, in requests/s, that a target was found to allow.
CREATE TABLE paces (
    target   INTEGER PRIMARY KEY,
    rate     REAL NOT NULL,
    seen_at  REAL NOT NULL
);

CREATE TABLE entries (
    target          INTEGER NOT NULL REFERENCES targets (id),
    provider        TEXT NOT NULL,
    group_ref       TEXT NOT NULL,
    consumer_ref    TEXT NOT NULL,
    state           TEXT NOT NULL,
    fingerprint     BLOB,              -- of what was last sent or adopted
    refresh_digest  BLOB,              -- of its refresh token, so that no other key may bring the same one
    connection_id   TEXT,
    ours            INTEGER,           -- 1: our post made it; 0: it was there before, or we cannot tell
    posts           INTEGER NOT NULL,  -- intents to post, ever
    doubt           INTEGER NOT NULL,  -- 1: a post of it has had no trustworthy answer
    sent_at         REAL,              -- of the last intent, seconds since the epoch
    settle_at       REAL,              -- not to be sent again before, after a lost answer
    op_fingerprint  BLOB,              -- a PATCH is under way towards this fingerprint
    reported        BLOB,              -- the changed fingerprint that was last reported as an error
    run_id          TEXT,              -- the run that posted or adopted it
    updated_at      REAL NOT NULL,
    PRIMARY KEY (target, provider, group_ref, consumer_ref)
) WITHOUT ROWID;

CREATE INDEX entries_by_refresh_digest ON entries (refresh_digest) WHERE refresh_digest IS NOT NULL;
CREATE INDEX entries_by_run ON entries (run_id);
CREATE INDEX entries_by_state ON entries (state) WHERE state <> 'created';

-- Fingerprints that a later one replaced: a row that brings one back is stale.
CREATE TABLE superseded (
    target        INTEGER NOT NULL,
    provider      TEXT NOT NULL,
    group_ref     TEXT NOT NULL,
    consumer_ref  TEXT NOT NULL,
    fingerprint   BLOB NOT NULL,
    PRIMARY KEY (target, provider, group_ref, consumer_ref, fingerprint)
) WITHOUT ROWID;

CREATE TABLE runs (
    run_id      TEXT PRIMARY KEY,
    target      INTEGER,
    verb        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    host        TEXT NOT NULL,
    started_at  REAL NOT NULL,
    ended_at    REAL,
    exit_code   INTEGER,
    summary     TEXT
) WITHOUT ROWID;

-- How a run went over time, and what its tokens were, as JSON: what report.html is drawn from.
CREATE TABLE courses (
    run_id  TEXT PRIMARY KEY,
    course  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sources (
    run_id     TEXT NOT NULL,
    source_no  INTEGER NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (run_id, source_no)
) WITHOUT ROWID;

-- One line of results.csv for each row that was not `unchanged`.
CREATE TABLE results (
    run_id         TEXT NOT NULL,
    source_no      INTEGER NOT NULL,
    row            INTEGER NOT NULL,
    provider       TEXT NOT NULL,
    group_ref      TEXT NOT NULL,
    consumer_ref   TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    connection_id  TEXT,
    http_status    INTEGER,
    attempts       INTEGER NOT NULL,
    finished_at    REAL,
    PRIMARY KEY (run_id, source_no, row)
) WITHOUT ROWID;

-- One line of errors.csv for each problem.
CREATE TABLE problems (
    run_id        TEXT NOT NULL,
    source_no     INTEGER NOT NULL,
    row           INTEGER NOT NULL,
    no            INTEGER NOT NULL,
    provider      TEXT NOT NULL,
    group_ref     TEXT NOT NULL,
    consumer_ref  TEXT NOT NULL,
    stage         TEXT NOT NULL,
    code          TEXT NOT NULL,
    field         TEXT NOT NULL,
    message       TEXT NOT NULL,
    fix           TEXT NOT NULL,
    http_status   INTEGER,
    retryable     INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    request_id    TEXT NOT NULL,
    PRIMARY KEY (run_id, source_no, row, no)
) WITHOUT ROWID;
