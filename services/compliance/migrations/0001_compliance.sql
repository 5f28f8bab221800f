-- Screenings and the lists they ran against. No personal data: a hit names the listed entity, never the payment's party.
CREATE SCHEMA compliance;
GRANT USAGE ON SCHEMA compliance TO rialto_compliance, rialto_auditor;

CREATE TABLE compliance.screenings (
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    outcome TEXT NOT NULL,
    hits JSON NOT NULL,
    rules JSON NOT NULL,
    list_versions JSON NOT NULL,
    policy_version TEXT NOT NULL,
    screened_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT screenings_pk PRIMARY KEY (payment_id),
    CONSTRAINT screenings_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT screenings_outcome_known CHECK (outcome IN ('clear', 'review', 'block')),
    CONSTRAINT screenings_shard_in_range CHECK (shard BETWEEN 0 AND 63)
);

CREATE VIEW compliance.verdicts AS
SELECT
    payment_id, merchant_id, mode, outcome, hits, rules, list_versions, policy_version, screened_at
FROM compliance.screenings;

-- Every version of every list that was ever in force, with the last time a worker started with it.
CREATE TABLE compliance.lists (
    list_id TEXT NOT NULL,
    version TEXT NOT NULL,
    entities INT NOT NULL,
    names INT NOT NULL,
    loaded_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT lists_pk PRIMARY KEY (list_id, version),
    CONSTRAINT lists_counts_positive CHECK (entities > 0 AND names >= entities)
);

-- Workers that start together load all lists at one instant: what was loaded last is what is in force.
CREATE VIEW compliance.lists_in_force AS
SELECT list_id, version, entities, names, loaded_at
FROM compliance.lists
WHERE loaded_at = (SELECT max(loaded_at) FROM compliance.lists);

SELECT bus.create_consumer_tables('compliance', 'rialto_compliance');

-- A verdict is never changed or taken back: no UPDATE, no DELETE.
GRANT SELECT, INSERT ON compliance.screenings TO rialto_compliance;
GRANT SELECT, INSERT, UPDATE (loaded_at) ON compliance.lists TO rialto_compliance;
GRANT SELECT ON compliance.verdicts, compliance.lists_in_force TO rialto_compliance;
GRANT SELECT ON compliance.screenings, compliance.lists, compliance.verdicts, compliance.lists_in_force
TO rialto_auditor;
