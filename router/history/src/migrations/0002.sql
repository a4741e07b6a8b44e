-- An attempt makes two tests, of the trial and of the watch after promotion; each has evidence of its own.
CREATE TABLE evidence_by_phase (
    sequence INTEGER PRIMARY KEY,
    policy_uid TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    configuration_digest TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    phase TEXT NOT NULL,
    evidence TEXT NOT NULL,
    UNIQUE (policy_uid, attempt, configuration_digest, incarnation, phase)
) STRICT;

INSERT INTO evidence_by_phase (sequence, policy_uid, attempt, configuration_digest, incarnation, phase, evidence)
SELECT sequence, policy_uid, attempt, configuration_digest, incarnation, 'Trial', evidence FROM trial_evidence;

DROP TABLE trial_evidence;

ALTER TABLE evidence_by_phase RENAME TO trial_evidence;
