-- With exploration a tier is taken with a probability. What was decided before had none.
ALTER TABLE decisions ADD COLUMN propensity REAL;
ALTER TABLE decisions ADD COLUMN explored INTEGER;

-- What an audit found: both models answered, and a grader said what each answer was worth.
CREATE TABLE pairs (
    sequence INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,              -- seconds since 1970
    digest TEXT NOT NULL,             -- the model whose decision counted
    score REAL NOT NULL,
    good_enough REAL NOT NULL,
    set_good_enough INTEGER,          -- whether its conformal set held the label; null: no set
    set_not_good_enough INTEGER,
    tier TEXT NOT NULL,               -- the tier taken
    propensity REAL NOT NULL,         -- of the tier taken
    lightweight REAL NOT NULL,        -- quality of each answer, 0 to 1
    powerful REAL NOT NULL,
    beside_digest TEXT,               -- the model that looked on
    beside_score REAL,
    beside_good_enough REAL,
    beside_set_good_enough INTEGER,
    beside_set_not_good_enough INTEGER
) STRICT;

-- Sums over all pairs ever seen by a model, as their owner wrote them. They outlive the pairs.
CREATE TABLE pair_sums (
    sequence INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    sums TEXT NOT NULL
) STRICT;
