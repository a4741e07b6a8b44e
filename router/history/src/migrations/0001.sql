PRAGMA application_id = 1413761097; -- the letters TDHI

CREATE TABLE decisions (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,              -- seconds since 1970
    arm TEXT NOT NULL,
    digest TEXT,                      -- null: no model, Powerful only
    tier TEXT NOT NULL,
    upstream TEXT,                    -- the candidate's name in the policy
    score REAL,
    uncertainty REAL,
    good_enough REAL,
    statistics BLOB NOT NULL,         -- prompt statistics, little-endian f32
    shadow_digest TEXT,
    shadow_score REAL,
    shadow_uncertainty REAL,
    succeeded INTEGER,                -- null: no outcome yet
    latency_ms INTEGER,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost_micro_dollars INTEGER
) STRICT;

CREATE TABLE totals (
    arm TEXT NOT NULL,
    tier TEXT NOT NULL,
    decisions INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_micro_dollars INTEGER NOT NULL,
    PRIMARY KEY (arm, tier)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback (
    sequence INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    score REAL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,              -- the pod the decision belongs to
    decision_id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    score REAL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE trial_evidence (
    sequence INTEGER PRIMARY KEY,
    policy_uid TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    configuration_digest TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    evidence TEXT NOT NULL,
    UNIQUE (policy_uid, attempt, configuration_digest, incarnation)
) STRICT;

CREATE TABLE trips (
    digest TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    cause TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE models (
    digest TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
